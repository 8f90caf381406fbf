# SPDX-License-Identifier: Apache-2.0
"""The service registry of OpenStack Nova and its versioned notifications."""

from oslo_service import backend

# oslo libraries choose eventlet unless told otherwise before they are used.
backend.register_backend_default_hook(lambda: backend.BackendType.THREADING)
