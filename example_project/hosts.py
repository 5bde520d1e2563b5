"""Small SSH servers for the demo: each runs what it is told with bash, in a folder of its own.

They are this machine under other names: whoever logs in runs processes of whoever started the demo.
So they listen on loopback only, and let in one key only.
"""

import os
import signal
import socket
import socketserver
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import paramiko

CHUNK = 64 * 1024


class EmbeddedHost:
    """An SSH server that can be stopped and started again on the same port, like a machine."""

    def __init__(self, folder, *, host_key, client_key, address="127.0.0.1", port=0):
        """``folder`` becomes home and working folder; a ``port`` of 0 lets the system choose one."""
        self.folder = Path(folder)
        self.host_key, self.client_key = host_key, client_key
        self.address, self.port = address, port
        self._server = None

    @property
    def name(self):
        return self.folder.name

    @property
    def is_running(self):
        return self._server is not None

    def start(self):
        """Listen; nothing happens when it does already."""
        if self.is_running:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        self._server = Listener((self.address, self.port), self)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self):
        """Cut all connections and kill what they run, as if the plug had been pulled."""
        server, self._server = self._server, None
        if server:
            server.shutdown()
            server.server_close()
            server.cut()

    def environment(self):
        """Return the environment of a login: nothing of the demo's own, and a python3 that is one."""
        path = f"{sys.base_prefix}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        return {"HOME": str(self.folder), "PATH": path, "SHELL": "/bin/bash", "LANG": "C.UTF-8"}


class Listener(socketserver.ThreadingTCPServer):
    """Serves each connection in a thread of its own."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, address, host):
        self.host = host
        self.transports, self.processes = set(), set()
        super().__init__(address, Connection)

    def cut(self):
        for transport in list(self.transports):
            with suppress(OSError):
                # Closing alone says nothing to the client as long as a thread of paramiko's reads.
                transport.sock.shutdown(socket.SHUT_RDWR)
            transport.close()
        for process in list(self.processes):
            if process.poll() is None:
                with suppress(ProcessLookupError):  # it ended of itself just now
                    os.killpg(process.pid, signal.SIGKILL)


class Connection(socketserver.BaseRequestHandler):
    """One SSH connection, with any number of commands on it."""

    def handle(self):
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transport = paramiko.Transport(self.request)
        transport.add_server_key(self.server.host.host_key)
        self.server.transports.add(transport)
        try:
            transport.start_server(server=Login(self.server))
            transport.join()
        except (paramiko.SSHException, EOFError):
            pass  # whoever called was no SSH client, or left early
        finally:
            self.server.transports.discard(transport)
            transport.close()


class Login(paramiko.ServerInterface):
    """Lets the demo's key in, and runs commands."""

    def __init__(self, listener):
        self.listener = listener

    def get_allowed_auths(self, username):
        return "publickey"

    def check_auth_publickey(self, username, key):
        is_known = key == self.listener.host.client_key
        return paramiko.AUTH_SUCCESSFUL if is_known else paramiko.AUTH_FAILED

    def check_channel_request(self, kind, chanid):
        refused = paramiko.OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED
        return paramiko.OPEN_SUCCEEDED if kind == "session" else refused

    def check_channel_exec_request(self, channel, command):
        # The thread holds the channel: paramiko itself keeps channels only weakly.
        threading.Thread(target=run, args=(self.listener, channel, command), daemon=True).start()
        return True


def run(listener, channel, command):
    """Run one command in bash, with its three streams on the channel, and report its exit status."""
    process = spawn(listener.host, command)
    listener.processes.add(process)
    threading.Thread(target=feed, args=(channel, process.stdin), daemon=True).start()
    errors = threading.Thread(target=pump, args=(process.stderr, channel.sendall_stderr), daemon=True)
    errors.start()
    pump(process.stdout, channel.sendall)
    errors.join()
    status = process.wait()
    listener.processes.discard(process)
    with suppress(OSError, EOFError):  # the client may be gone
        channel.send_exit_status(status if status >= 0 else 128 - status)
        channel.close()


def spawn(host, command):
    return subprocess.Popen(
        ["/bin/bash", "-c", command],
        cwd=host.folder,
        env=host.environment(),
        start_new_session=True,
        bufsize=0,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def feed(channel, pipe):
    """Copy what the client sends to the process, which may end before it has read everything."""
    with suppress(OSError), pipe:
        while data := channel.recv(CHUNK):
            view = memoryview(data)
            while view:
                view = view[pipe.write(view) :]


def pump(pipe, send):
    """Copy what the process prints; a client that is gone breaks its pipe, as sshd does."""
    with suppress(OSError, EOFError), pipe:
        while data := os.read(pipe.fileno(), CHUNK):
            send(data)
