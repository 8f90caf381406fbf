# SPDX-License-Identifier: Apache-2.0
"""The service registry of OpenStack Nova and its versioned notifications."""

import os
import warnings

# oslo.concurrency brings eventlet along, and futurist tries to import it: the
# advice against it is not for our users. Nothing here runs on it.
warnings.filterwarnings('ignore', message=r'\s*Eventlet is deprecated')
# Its resolver, which nobody uses here, is 20 MB and a tenth of a second.
os.environ.setdefault('EVENTLET_NO_GREENDNS', 'yes')

from oslo_service import backend  # noqa: E402

# oslo libraries choose eventlet unless told otherwise before they are used.
backend.register_backend_default_hook(lambda: backend.BackendType.THREADING)
