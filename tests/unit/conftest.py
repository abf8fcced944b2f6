"""Makes `small_parts` and `serving` importable, and leaves signals as they were."""

import signal

import pytest
import serving


@pytest.fixture(autouse=True)
def _signals_are_left_alone():
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():  # a process that is about to leave ignores them, and so would its children
        signal.signal(number, handler)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty place for published weights."""
    monkeypatch.setenv("PANNSDIST_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "cache" / "weights"


@pytest.fixture
def server():
    """A real HTTP server on this machine."""
    with serving.running() as server:
        yield server
