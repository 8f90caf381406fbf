# SPDX-License-Identifier: Apache-2.0
"""HTTP requests of keystoneauth that end in time, whatever the server does."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import socket
import ssl
import threading
from typing import Any

from keystoneauth1 import session as ks_session
import requests
from requests import adapters
from urllib3 import connection
from urllib3 import connectionpool

#: seconds until a connection is established, to each address of a host
_CONNECT = 5.0

#: What a requests session of the user may have set, besides its adapters.
_SETTINGS = ('headers', 'auth', 'proxies', 'hooks', 'params', 'trust_env')

#: The adapters whose connections can be replaced by ours.
_USUAL_ADAPTERS = (adapters.HTTPAdapter, ks_session.TCPKeepAliveAdapter)


class Deadline:
    """Ends all HTTP connections that were made under it, at a time or before.

    A read timeout is not enough: a server that sends a byte now and then
    never reaches it.

    :param seconds: from now on
    :ivar passed: whether the connections were ended
    :ivar cancelled: whether that was before the time
    """

    def __init__(self, seconds: float) -> None:
        self.passed = self.cancelled = False
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True

    def __enter__(self) -> Deadline:
        self._timer.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._timer.cancel()
        with self._lock:
            for one in self._sockets:
                one.close()
            self._sockets.clear()

    def cancel(self) -> None:
        """End all connections now, and refuse new ones."""
        self.cancelled = not self.passed
        self._end()

    def watch(self, one: socket.socket) -> None:
        """Include a connection.

        :raises TimeoutError: the deadline has passed
        """
        if isinstance(one, ssl.SSLSocket):
            # It uses the connection of a socket that is watched already.
            return
        with self._lock:
            if self.passed:
                raise TimeoutError('out of time')
            # TLS takes the socket over; a duplicate can still end it.
            self._sockets.append(one.dup())

    def _end(self) -> None:
        with self._lock:
            self.passed = True
            for one in self._sockets:
                # Another thread that reads from it gets the end of the data.
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def limited(source: ks_session.Session, deadline: Deadline, read: float
            ) -> Iterator[ks_session.Session]:
    """Lend a session that authenticates as another one does, in time.

    Adapters that the user has mounted for special connections are used as
    they are, without the deadline.

    :param source: is not changed
    :param read: seconds between two pieces of an answer
    """
    plain = requests.Session()
    for name in _SETTINGS:
        setattr(plain, name, getattr(source.session, name))
    tls = {name: value for name in ('tls_ciphers', 'tls_min_version')
           if (value := getattr(source, name, None))}
    adapter = _Adapter(deadline, (_CONNECT, read), **tls)
    for prefix, theirs in source.session.adapters.items():
        usual = type(theirs) in _USUAL_ADAPTERS
        plain.mount(prefix, adapter if usual else theirs)
    try:
        yield ks_session.Session(
            auth=source.auth, session=plain, original_ip=source.original_ip,
            verify=source.verify, cert=source.cert, timeout=read,
            redirect=source.redirect,
            additional_headers=source.additional_headers,
            app_name=source.app_name, app_version=source.app_version,
            additional_user_agent=source.additional_user_agent)
    finally:
        adapter.close()


class _Adapter(ks_session.TCPKeepAliveAdapter):
    """Makes connections that a deadline ends."""

    def __init__(self, deadline: Deadline, timeout: tuple[float, float],
                 **options: Any) -> None:
        self._pools = _pool_classes(deadline)
        self._timeout = timeout
        super().__init__(**options)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = self._pools
        return manager

    def send(self, *args: Any, **kwargs: Any) -> requests.Response:
        return super().send(*args, **{**kwargs, 'timeout': self._timeout})


def _pool_classes(deadline: Deadline
                  ) -> dict[str, type[connectionpool.HTTPConnectionPool]]:
    """Return urllib3's pools by URL scheme, with watched connections."""

    class Watched:
        """Shows the deadline each socket that a connection gets."""

        @property
        def sock(self) -> socket.socket | None:
            return self._watched

        @sock.setter
        def sock(self, one: socket.socket | None) -> None:
            self._watched = one
            if one is not None:
                deadline.watch(one)

    class HTTPConnection(Watched, connection.HTTPConnection):  # type: ignore[misc]
        pass

    class HTTPSConnection(Watched, connection.HTTPSConnection):  # type: ignore[misc]
        pass

    class HTTPPool(connectionpool.HTTPConnectionPool):
        ConnectionCls = HTTPConnection

    class HTTPSPool(connectionpool.HTTPSConnectionPool):
        ConnectionCls = HTTPSConnection

    return {'http': HTTPPool, 'https': HTTPSPool}
