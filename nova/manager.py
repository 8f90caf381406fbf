# SPDX-License-Identifier: Apache-2.0
"""What a process does beside being registered: here, nothing."""

from typing import Any


class Manager:
    """The hooks that a service calls; a subclass does its work in them.

    :param host: name of the host that the service runs for
    """

    def __init__(self, host: str) -> None:
        self.host = host

    def init_host(self, service_ref: Any | None) -> None:
        """Prepare; called with the service's record, if it is there."""

    def pre_start_hook(self, service_ref: Any) -> None:
        """Called when the record is there and nothing is heard yet."""

    def post_start_hook(self) -> None:
        """Called when the service can be reached."""

    def graceful_shutdown(self, timeout: float) -> None:
        """Finish what is under way, within a number of seconds."""

    def reset(self) -> None:
        """Take up a changed configuration."""
