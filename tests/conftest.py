"""What every test stands on: Paddle's fast kernels, its known warnings kept back, and the shared files."""

import signal
import warnings
from pathlib import Path

import pytest

from pannsdist.runtime import console, cpu

for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # what a shell or nohup ignores, its children do too
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)

cpu.use_fast_kernels()  # before paddle is imported anywhere
console.quiet_paddle()

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import paddle  # noqa: F401

SHARED = Path(__file__).resolve().parents[2] / "shared"

LAUNCHING = ("tests/runs/", "tests/processes/")


def pytest_collection_modifyitems(config, items):
    """With `-n 2`: the longest folder first, the other that launches last, so that both workers end together."""
    if hasattr(config, "workerinput"):
        places = {LAUNCHING[0]: 0, LAUNCHING[1]: 2}
        items.sort(key=lambda item: next((n for place, n in places.items() if item.nodeid.startswith(place)), 1))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """With `-n 2`: each folder that launches processes as a whole, the rest file by file, to whichever worker is free.

    So most of the time one run alone is launched, and what the tests of a folder or a file share is made once.
    """
    from xdist.scheduler import LoadFileScheduling

    class WholeFoldersThatLaunch(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return next((place for place in LAUNCHING if nodeid.startswith(place)), super()._split_scope(nodeid))

    config.option.loadscopereorder = False
    return WholeFoldersThatLaunch(config, log)


@pytest.fixture
def shared() -> Path:
    """The folder with reference outputs and real weights, beside the repository."""
    if not SHARED.is_dir():
        pytest.skip("the folder `shared` with reference outputs is not beside the repository")
    return SHARED
