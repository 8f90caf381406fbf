"""Build of the documentation."""

import json
import pathlib

from nova.api.openstack import openapi

project = 'nova-service-notifications'
extensions = ['openstackdocstheme']
html_theme = 'openstackdocs'
openstackdocs_auto_name = False
openstackdocs_auto_version = False
version = release = ''


def write_openapi(app):
    """Write the OpenAPI documents that the pages offer."""
    folder = pathlib.Path(app.srcdir, '_openapi')
    folder.mkdir(exist_ok=True)
    for microversion in openapi.MILESTONES:
        document = openapi.document(microversion)
        (folder / f'os-services-{microversion}.json').write_text(
            json.dumps(document, indent=2))


def setup(app):
    app.connect('builder-inited', write_openapi)
