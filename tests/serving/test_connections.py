"""Connections that do nothing do not keep others out."""

import socket
import time
from contextlib import ExitStack, suppress

import pytest
import served
from served import answer_on

from pannsdist.serving import listening


@pytest.fixture
def opened():
    """Closes what is entered."""
    with ExitStack() as stack:
        yield stack


def test_a_thousand_idle_connections_and_heads_that_never_end_keep_nobody_out(server, sounds, opened):
    server.session.close()  # else its connection is the oldest one, and the first to be closed
    idle = [opened.enter_context(server.connected()) for _ in range(1100)]
    began = time.monotonic()
    for connection in idle[1000:]:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nX-Slow: ")
    for _ in range(3):
        assert server.results("/v1/predict", sounds[0])
        server.session.close()
    # The oldest made room for the newest; the others end by themselves, within ten seconds and what follows a refusal.
    assert answer_on(idle[1000])[0] == 408
    for connection in idle[3:1000]:
        with suppress(ConnectionResetError):
            while connection.recv(4096):
                pass
    assert time.monotonic() - began < served.END_S
    assert server.results("/v1/predict", sounds[0])


def test_more_connections_than_allowed_are_503_where_all_are_at_work(folders, environment):
    options = ("--model", folders["plain"], "--engine", "dygraph", "--max-connections", "2")
    with served.Server(*options, env=environment) as small:
        busy = [small.connected() for _ in range(2)]
        head = "POST /v1/predict HTTP/1.1\r\nContent-Type: audio/wav\r\nContent-Length: 9\r\n"
        for connection in busy:
            connection.sendall(f"{head}Expect: 100-continue\r\n\r\n".encode())
            assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
        with small.connected() as another:
            status, record = answer_on(another)
        assert (status, record["error"]["code"]) == (503, "too_many_connections")
        for connection in busy:
            connection.close()
        for _ in range(100):
            if small.session.get(f"{small.address}/healthz").status_code == 200:
                break
            time.sleep(0.1)
        assert small.ask("GET", "/readyz").status == 200
        assert "Traceback" not in small.errors


def test_an_answer_does_not_wait_for_the_client_to_acknowledge_its_head():
    with listening.bound("127.0.0.1", 0) as server, socket.create_connection(server.getsockname()):
        connection, _ = server.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
