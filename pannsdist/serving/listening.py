"""The socket on which a server listens."""

from __future__ import annotations

import resource
import socket

from pannsdist.runtime.errors import UserError

BACKLOG = 2048
OTHER_FILES = 256
"""Files that a process has open beside its connections, at most."""


def bound(host: str, port: int) -> socket.socket:
    """A socket that listens on an address. Raises UserError."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind)
    except OSError as error:
        raise _cannot(host, port, error) from error
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Of each connection, too. Otherwise the body of an answer waits 40 ms for the client's word on its headers.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listening.bind(address)
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise _cannot(host, port, error) from error
    return listening


def _cannot(host: str, port: int, error: OSError) -> UserError:
    right = "choose an address of this machine and a free port; --port 0 takes any"
    return UserError(f"cannot listen on {host}, port {port}: {error.strerror}", right)


def url(host: str, listening: socket.socket) -> str:
    """The address for a browser on this machine."""
    port = listening.getsockname()[1]
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"http://{shown}:{port}"


def allow_files(connections: int) -> None:
    """Raise the soft limit of open files so that so many connections fit. Raises UserError where they cannot."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = connections + OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        if hard != resource.RLIM_INFINITY and hard < needed:
            right = f"allow {needed} with ulimit -n, or give --max-connections {max(1, hard - OTHER_FILES)}"
            raise UserError(f"a process may have {hard} files open, too few for {connections} connections", right)
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
