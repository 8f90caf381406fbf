# SPDX-License-Identifier: Apache-2.0
"""The REST API for any WSGI server: ``nova.wsgi.osapi_compute:application``.
"""

from nova.api.openstack import wsgi_app

application = wsgi_app.init_application('osapi_compute')
