# SPDX-License-Identifier: Apache-2.0
"""Which services are up."""

from nova.servicegroup import api

API = api.API
