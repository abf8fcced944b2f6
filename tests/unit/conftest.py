"""Makes `small_parts` and `serving` importable, and leaves signals as they were."""

import signal

import pytest
import s3_server
import serving

from pannsdist.cli.command_line import main


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


@pytest.fixture
def run(capsys):
    """Calls `pannsdist ARGUMENT...`; gives the exit code, what it printed, and what it complained of."""

    def answer(*arguments):
        code = main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return answer


@pytest.fixture
def decide(tmp_path, request):
    """Decides about the run of the test file's TEXT, or of another; the plugins of `small_parts` are there."""
    from small_parts import catalog

    from pannsdist import settings
    from pannsdist.run.planning.decide import decide as decide_run

    def decided(*overrides, world_size=1, text=None):
        path = tmp_path / "run.yaml"
        path.write_text(text or request.module.TEXT, encoding="utf-8")
        chosen, origin = settings.load(path, overrides)
        return decide_run(chosen, origin, catalog(), world_size)

    return decided


@pytest.fixture(scope="session")
def moto():
    """An S3 server, started once, since that takes seconds."""
    pytest.importorskip("s3fs", reason="s3fs is not installed: pip install 'pannsdist[s3]'")
    pytest.importorskip("moto.server", reason="moto is not installed: pip install 'moto[s3,server]'")
    with s3_server.running() as running:
        yield running
