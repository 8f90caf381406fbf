# SPDX-License-Identifier: Apache-2.0
"""Consumers of OpenStack, on the in-memory bus."""

from nova.tests.functional import interop


class TestInterop(interop.InteropTests, interop.InteropTestCase):
    """One process, one bus."""
