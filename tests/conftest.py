"""Set-up of all tests: Paddle's fast kernels, its known warnings silenced, the shared files, the order under xdist."""

import functools
import os
import re
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

GROUPS = {
    "wheels": ("tests/", "wheels|installed|short"),
    "runs": ("tests/runs/", "together|run|killed"),
    "processes": ("tests/processes/", r"\w+"),
    "hosts": ("tests/hosts/", "machines|hosts|undisturbed"),
    "page": ("tests/page/", "browser|address|site"),
}
"""Test files that use one of these costly fixtures, in this folder, go to one worker of xdist, which makes it once."""
LONGEST = (
    *(
        "wheels",
        "runs",
        "processes",
        "hosts",
        "tests/runs/test_train_command.py",
        "tests/runs/test_first_hour.py",
        "tests/runs/",
    ),
    *("tests/contract/", "tests/unit/devkit/", "plugins/", "tests/"),
)
"""Groups, files and folders: what takes longer comes first, so that short files are left for the end."""
ANY_PADDLE = (
    *("tests/docs/", "tests/house/", "tests/unit/registry/", "tests/unit/runtime/", "tests/unit/settings/"),
    *("tests/unit/run/launching/", "tests/unit/weights/downloads/"),
)
"""Folders about what never meets Paddle: text, settings, files, processes that are not trained in, downloads."""


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    """Temporary files go into a folder of this session, which is removed at its end; `--basetemp` keeps them.

    So do caches: a test neither finds what earlier sessions left in the folder of the user nor leaves anything there.
    """
    if config.option.basetemp is None and not hasattr(config, "workerinput"):
        folder = session_folder.make()
        config.option.basetemp = str(folder)
        caches = session_folder.make()
        os.environ["PANNSDIST_HOME"] = str(caches)
        config.add_cleanup(lambda: [session_folder.remove(one) for one in (folder, caches)])


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(config, items):
    """Marks what never meets Paddle. With `-n 2`: what takes longest first."""
    for item in items:
        if item.nodeid.startswith(ANY_PADDLE):
            item.add_marker("any_paddle")
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: turn_of(unit_of(item.nodeid)))


def turn_of(unit: str) -> int:
    """The place of a unit in LONGEST; after its end for what is not there."""
    return next((number for number, place in enumerate(LONGEST) if unit.startswith(place)), len(LONGEST))


@functools.cache
def group_of(file: str) -> str:
    """The group of a test file, or nothing."""
    text = (Path(__file__).resolve().parents[1] / file).read_text(encoding="utf-8")
    for name, (folder, fixtures) in GROUPS.items():
        if file.startswith(folder) and re.search(rf"^ *def \w+\(.*\b({fixtures})\b", text, re.MULTILINE):
            return name
    return ""


def unit_of(nodeid: str) -> str:
    """What goes to one worker of xdist as a whole: a group, or a file."""
    file = nodeid.partition("::")[0]
    return group_of(file) or file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """With `-n 2`: each unit goes to whichever worker is free, so that its fixtures are set up once."""
    from xdist.scheduler import LoadScopeScheduling

    class InUnits(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return unit_of(nodeid)

    config.option.loadscopereorder = False
    return InUnits(config, log)


@pytest.fixture(scope="session")
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
