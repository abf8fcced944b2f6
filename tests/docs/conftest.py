"""A Python with the wheels alone, a working folder, and what came of every command in it."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import packing
import pytest
import workspace
from snippets import Snippet
from table import INSTALL, PLACEHOLDERS, RUN, Run, chosen

DRIVER = Path(__file__).with_name("driver.py")
LIMIT_S = 1200.0
"""Against hanging alone."""


@dataclass(frozen=True)
class Outcome:
    """What a command was when it was made small, its exit code (None if it did not end), and its output."""

    command: str
    code: int | None
    output: str


@dataclass(frozen=True)
class Place:
    """The working folder, the `bin` of a Python with the wheels, and the environment of the commands."""

    work: Path
    scripts: Path
    env: Mapping[str, str]

    def outcomes(self, commands: list[str], name: str) -> list[Outcome]:
        """Run commands in their order, in one process."""
        folder = self.work.parent / name
        folder.mkdir()
        plan = folder / "commands.json"
        plan.write_text(json.dumps([shlex.split(command) for command in commands]), encoding="utf-8")
        command = [self.scripts / "python", "-W", "ignore:No ccache found", DRIVER, plan]
        subprocess.run(command, cwd=self.work, env=self.env, stdin=subprocess.DEVNULL, check=False, timeout=LIMIT_S)
        found = []
        for number, text in enumerate(commands):
            code, output = (folder / f"{number}.{kind}" for kind in ("code", "output"))
            said = output.read_text(encoding="utf-8", errors="replace") if output.exists() else ""
            found.append(Outcome(text, int(code.read_text()) if code.exists() else None, said))
        return found


def small(snippet: Snippet, row: Run, work: Path) -> str:
    """The command that is run in place of a snippet; Python goes into a file."""
    text = snippet.text
    if snippet.language == "python":
        path = work / f"block_{snippet.line}.py"
        path.write_text(text, encoding="utf-8")
        return f"python {path}"
    for pattern, after in PLACEHOLDERS.items():
        text = re.sub(pattern, after, text)
    for before, after in row.instead.items():
        text = text.replace(before, after)
    return shlex.join([*shlex.split(text), *row.add])


@pytest.fixture(scope="session")
def place(wheels, shared_folder, tmp_path_factory) -> Place:
    """An environment into which the documentation's own `pip install` lines brought pannsdist and its plugins."""
    root = tmp_path_factory.mktemp("docs")
    scripts = packing.fresh_python(root / "venv")
    work, home = root / "work", root / "home"
    workspace.make(work, shared_folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PANNSDIST_HOME", str(home))
        workspace.fill_cache(shared_folder)
    env = {
        **packing.clean_environment(),
        "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
        "VIRTUAL_ENV": str(scripts.parent),
        "PANNSDIST_HOME": str(home),
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(wheels),
        "PIP_NO_BUILD_ISOLATION": "0",
        "PIP_NO_COMPILE": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
    }
    wanted = [word for text in chosen(INSTALL) for word in shlex.split(text)[2:]]
    command = [scripts / "python", "-m", "pip", "install", "-q", *wanted]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(wanted)}\n{done.stdout}{done.stderr}"
    return Place(work, scripts, env)


@pytest.fixture(scope="session")
def shared_folder() -> Path:
    """As `shared` of tests/conftest.py, once."""
    folder = packing.PROJECT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("the folder `shared` with real weights is not beside the repository")
    return folder


@pytest.fixture(scope="session")
def short(place) -> dict[str, Outcome]:
    """What came of the commands that are not long, by their text on the page."""
    return outcomes_of(place, long=False)


@pytest.fixture(scope="session")
def long(place, short) -> dict[str, Outcome]:  # noqa: ARG001 the long ones use what the others left
    """What came of the long ones."""
    return outcomes_of(place, long=True)


def outcomes_of(place: Place, *, long: bool) -> dict[str, Outcome]:
    """Run the commands that are long, or the others."""
    pairs = {text: pair for text, pair in chosen(RUN).items() if pair[1].long == long}
    commands = [small(snippet, row, place.work) for snippet, row in pairs.values()]
    return dict(zip(pairs, place.outcomes(commands, "long" if long else "short"), strict=True))
