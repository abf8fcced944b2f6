"""Builds the distributions of the checkout as `make dist` does, and installs them into a Python of their own.

Run by path it is one process that builds all of them: setuptools is imported once, and each is built in a fork.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
FETCHED = "plugins/pannsdist-web/pannsdist_web/runtime"
"""Files of a wheel that git does not have."""
OWN = ("pannsdist", "__editable__", "_virtualenv", "sitecustomize")
"""Packages of the running interpreter that the fresh one must not see."""


def skip_unless_wheels_can_be_built() -> None:
    """setuptools builds wheels by itself from 70.1 on."""
    if tuple(map(int, importlib.metadata.version("setuptools").split(".")[:2])) < (70, 1):
        pytest.skip("setuptools before 70.1 builds no wheel by itself")


def tracked(*paths: str) -> list[str]:
    """The files of the project below these paths: those that git has, or would add."""
    command = ["git", "ls-files", "-co", "--exclude-standard", "--", *paths]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("not a git checkout, so what belongs to the project is not known")
    return [name for name in done.stdout.splitlines() if (PROJECT / name).is_file()]


def copy_sources(folder: Path) -> Path:
    """A copy of what the distributions are built from, since a build writes beside its sources."""
    for name in tracked("*.cfg", "*.toml", "*.in", "setup.py", "*.md", "*LICENSE", "pannsdist", "configs", "plugins"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PROJECT / name, folder / name, follow_symlinks=False)
    if (PROJECT / FETCHED).is_dir():  # else its build fetches them
        shutil.copytree(PROJECT / FETCHED, folder / FETCHED)
    return folder


def build_all(source: Path, out: Path) -> Path:
    """The sdist and the wheel of pannsdist, and the wheels of the plugins, in the folder `out`."""
    out.mkdir()
    command = [sys.executable, __file__, str(source), str(out)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, done.stdout
    return out


def fresh_python(folder: Path) -> Path:
    """The `bin` of a virtual environment with everything of the running interpreter but pannsdist and its plugins."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    target = folder / "borrowed"
    target.mkdir()
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if not path.name.startswith(OWN) and path.suffix != ".pth":
            (target / path.name).symlink_to(path)
    (site_of(folder / "bin") / "borrowed.pth").write_text(f"{target}\n", encoding="utf-8")
    return folder / "bin"


def site_of(scripts: Path) -> Path:
    """Where the packages of a virtual environment are."""
    (site,) = (scripts.parent / "lib").glob("python*/site-packages")
    return site


def clean_environment() -> dict[str, str]:
    """The environment without what leads Python, pip or Paddle elsewhere."""
    return {key: value for key, value in os.environ.items() if not key.startswith(("PADDLE_", "PYTHON", "PIP_"))}


def install(wheels: list[Path], scripts: Path) -> None:
    """Install wheels, and nothing that they require, with pip."""
    command = [scripts / "python", "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--no-compile", *wheels]
    environment = {**clean_environment(), "PIP_ROOT_USER_ACTION": "ignore"}
    done = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def _build(source: Path, out: Path) -> None:
    """Build as `python -m build` does without isolation: the wheel of pannsdist from its own sdist."""
    from setuptools import build_meta  # noqa: F401 once, for all forks

    unpacked = out / "unpacked"
    _in_a_fork(source, lambda backend: backend.build_sdist(str(out)))
    (archive,) = out.glob("*.tar.gz")
    with tarfile.open(archive) as file:
        file.extractall(unpacked, filter="data")
    (root,) = unpacked.iterdir()
    for folder in (root, *sorted((source / "plugins").glob("pannsdist-*"))):
        _in_a_fork(folder, lambda backend: backend.build_wheel(str(out)))
    shutil.rmtree(unpacked)


def _backend(folder: Path) -> str:
    """The module that builds a distribution: setuptools, or one of its own."""
    return re.search(r'^build-backend = "(.+)"$', (folder / "pyproject.toml").read_text(encoding="utf-8"), re.M)[1]


def _in_a_fork(folder: Path, build) -> None:
    child = os.fork()
    if child == 0:
        os.chdir(folder)
        sys.path.insert(0, str(folder))
        build(importlib.import_module(_backend(folder)))
        sys.stdout.flush()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if status:
        sys.exit(f"{folder} cannot be built")


if __name__ == "__main__":
    _build(Path(sys.argv[1]), Path(sys.argv[2]))
