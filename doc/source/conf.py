"""Build of the documentation."""

import json
import pathlib
import sys

from nova.api.openstack import openapi
from nova.notifications import asyncapi
from nova.notifications import schema

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / 'ext'))

project = 'nova-service-notifications'
extensions = ['openstackdocstheme', 'oslo_config.sphinxext',
              'oslo_policy.sphinxext', 'reno.sphinxext',
              'versioned_notifications']
html_theme = 'openstackdocs'
html_static_path = ['_static']
html_css_files = ['narrow.css']
html_theme_options = {'show_other_versions': False}
openstackdocs_auto_name = False
openstackdocs_auto_version = False
openstackdocs_bug_tag = ''
version = release = ''


def write_openapi(app):
    """Write the OpenAPI documents that the pages offer."""
    for microversion in openapi.MILESTONES:
        write(app, '_openapi', f'os-services-{microversion}.json',
              openapi.document(microversion))


def write_notifications(app):
    """Write the descriptions of the notifications that a page offers."""
    write(app, '_notifications', 'schema.json', schema.document())
    write(app, '_notifications', 'asyncapi.json',
          asyncapi.document('nova', ['versioned_notifications']))


def write(app, folder, name, document):
    """Write one document."""
    file = pathlib.Path(app.srcdir, folder, name)
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(document, indent=2))


def setup(app):
    app.connect('builder-inited', write_openapi)
    app.connect('builder-inited', write_notifications)
