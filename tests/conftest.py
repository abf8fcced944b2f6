"""What every test stands on: Paddle's fast kernels, its known warnings kept back, and the shared files."""

import signal
import warnings
from pathlib import Path

import pytest

from pannsdist import cpu, terminal

for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # what a shell or nohup ignores, its children do too
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)

cpu.use_fast_kernels()  # before paddle is imported anywhere
terminal.quiet_paddle()

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import paddle  # noqa: F401

SHARED = Path(__file__).resolve().parents[2] / "shared"

LAUNCHING = ("tests/runs/", "tests/processes/")


def pytest_collection_modifyitems(config, items):
    """With `-n 2`: what launches processes takes longest, and begins at once."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: not item.nodeid.startswith(LAUNCHING))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """With `-n 2`: one worker launches, one run after another; the other takes the rest, file by file.

    So no two launched runs compete for the cores, and what the tests of a file share is made once.
    """
    from xdist.scheduler import LoadFileScheduling

    class OneLaunchAtATime(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "launching" if nodeid.startswith(LAUNCHING) else super()._split_scope(nodeid)

    config.option.loadscopereorder = False
    return OneLaunchAtATime(config, log)


@pytest.fixture
def shared() -> Path:
    """The folder with reference outputs and real weights, beside the repository."""
    if not SHARED.is_dir():
        pytest.skip("the folder `shared` with reference outputs is not beside the repository")
    return SHARED
