"""Set-up of all tests: Paddle's fast kernels, its known warnings silenced, the shared files, the order under xdist."""

import signal
import warnings
from pathlib import Path

import packing
import pytest
import session_folder

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

LAUNCHING = ("tests/runs/", "tests/processes/", "tests/hosts/")
LONGEST = ("tests/runs/", "tests/contract/", "tests/processes/", "tests/docs/", "tests/hosts/")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    """Temporary files go into a folder of this session, which is removed at its end; `--basetemp` keeps them."""
    if config.option.basetemp is None and not hasattr(config, "workerinput"):
        folder = session_folder.make()
        config.option.basetemp = str(folder)
        config.add_cleanup(lambda: session_folder.remove(folder))


def pytest_collection_modifyitems(config, items):
    """With `-n 2`: the longest folders first, so that short files are left for the end."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: next((n for n, place in enumerate(LONGEST) if item.nodeid.startswith(place)), 9))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """With `-n 2`: a folder that launches processes goes to one worker, the rest file by file to whichever is free.

    So the fixtures of such a folder, and those of a file, are set up once.
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


@pytest.fixture(scope="session")
def wheels(tmp_path_factory) -> Path:
    """A folder with the sdist and the wheel of pannsdist and the wheels of the plugins, built from this checkout."""
    packing.skip_unless_wheels_can_be_built()
    folder = tmp_path_factory.mktemp("distributions")
    return packing.build_all(packing.copy_sources(folder / "source"), folder / "built")


@pytest.fixture(scope="session")
def installed(wheels, tmp_path_factory) -> Path:
    """The `bin` of a virtual environment with these wheels, and nothing of the checkout."""
    scripts = packing.fresh_python(tmp_path_factory.mktemp("installed") / "venv")
    packing.install(sorted(wheels.glob("*.whl")), scripts)
    return scripts
