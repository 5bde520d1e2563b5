"""A small TCP proxy for tests: cuts a link after so many bytes, delays it, or freezes it."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import threading
import time

import pytest


class Proxy:
    """Forwards connections to a host; its ``host`` stands for the real one.

    ``cut_after``, ``freeze_after``: bytes from the client after which both sides are closed, or after
    which nothing passes and nothing closes. ``delay``: seconds by which each chunk comes later, each way.
    """

    def __init__(self, target):
        self.target = target
        self.cut_after = self.freeze_after = None
        self.delay = 0.0
        self.sent = 0
        self.connections = 0
        self._passes = threading.Event()
        self._passes.set()
        self._sockets = []
        self._listener = socket.create_server((target.address, 0))
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def host(self):
        """The target, reached through this proxy."""
        return dataclasses.replace(self.target, port=self._listener.getsockname()[1])

    def freeze(self):
        """Let nothing pass from now on."""
        self._passes.clear()

    def thaw(self):
        """Let everything pass again."""
        self._passes.set()

    def cut(self):
        """Close all connections; new ones are accepted."""
        self._end(*self._sockets)
        self._sockets.clear()

    def _end(self, *sockets):
        for one in sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def close(self):
        """Close everything."""
        self._end(self._listener)
        self.thaw()
        self.cut()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.connections += 1
                with contextlib.suppress(OSError):
                    self._forward(client)

    def _forward(self, client):
        self._sockets.append(client)
        server = socket.create_connection((self.target.address, self.target.port), timeout=10)
        server.settimeout(None)
        self._sockets.append(server)
        for one in (client, server):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for source, sink, count in ((client, server, True), (server, client, False)):
            threading.Thread(target=self._pump, args=(source, sink, count), daemon=True).start()

    def _pump(self, source, sink, count):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self._passes.wait()
                time.sleep(self.delay)
                if count:
                    data = self._counted(data)
                sink.sendall(data)
                if count and self.sent == self.cut_after:
                    break
                if count and self.freeze_after and self.sent >= self.freeze_after:
                    self.freeze()
        self._end(source, sink)

    def _counted(self, data):
        if self.cut_after is not None:
            data = data[: self.cut_after - self.sent]
        self.sent += len(data)
        return data


@pytest.fixture
def proxy_to():
    """Put a proxy in front of a host: ``proxy_to(sshd.host)``."""
    proxies = []

    def create(target):
        proxies.append(Proxy(target))
        return proxies[-1]

    yield create
    for proxy in proxies:
        proxy.close()
