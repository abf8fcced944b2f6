"""The author's page, word for word: from a built wheel, in an empty folder outside the repository."""

import os
import re
import subprocess
from pathlib import Path

import launching
import packing
import pytest

PAGES = [launching.PROJECT / "docs" / language / "plugins.md" for language in ("en", "zh")]
LIMIT_S = 900.0
"""Against hanging alone."""


def shell_blocks(page: Path) -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def shortened(blocks: list[str]) -> list[str]:
    """The blocks up to a run with all three plugins; the checks of the model leave out their slow one."""
    (last,) = [number for number, block in enumerate(blocks) if "pannsdist predict" in block]
    model = "pannsdist plugins check model small_net"
    assert sum(block.count(model) for block in blocks[:last]) == 1
    return [block.replace(model, f"{model} --skip-slow") for block in blocks[: last + 1]]


@pytest.mark.real
@pytest.mark.parametrize(
    "whole",
    [
        pytest.param(False, id="a dataset, a model and a feature"),
        pytest.param(True, id="the whole page", marks=pytest.mark.long),
    ],
)
def test_what_the_page_says_can_be_typed_as_it_stands(tmp_path, wheels, whole):
    """The short form leaves out the other kinds, the wheels, and the check that trains a step on two processes."""
    scripts = packing.fresh_python(tmp_path / "venv")
    work = tmp_path / "work"
    work.mkdir()
    blocks = shell_blocks(PAGES[0]) if whole else shortened(shell_blocks(PAGES[0]))
    assert len(blocks) >= (8 if whole else 6)
    kept = packing.clean_environment()
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels), "PIP_NO_BUILD_ISOLATION": "0"}
    path = f"{scripts}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-e", "-x", "-c", "\n".join(blocks)],
        cwd=work,
        env={**kept, **offline, "PATH": path, "VIRTUAL_ENV": str(scripts.parent), "PIP_ROOT_USER_ACTION": "ignore"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    said = done.stdout
    assert done.returncode == 0, said
    for kind, name in (("dataset", "birdsong"), ("model", "small_net"), ("feature", "even_bands")):
        assert f"{kind} {name} of pannsdist-{name.replace('_', '-')} 0.1.0" in said
    checks = sum("pannsdist plugins check" in line for block in blocks for line in block.splitlines())
    verdicts = re.findall(r"^\d+ ok(?:, \d+ not applicable)?(?:, \d+ skipped)?$", said, re.MULTILINE)
    assert len(verdicts) == checks >= (8 if whole else 4), said
    if whole:
        assert re.search(r"^ok +it trains one step on two processes ", said, re.MULTILINE), said
        assert len(list((work / "dist").glob("pannsdist_*-0.1.0-py3-none-any.whl"))) == 3
    assert re.search(r"^\d+ passed, \d+ skipped", said, re.MULTILINE), said
    assert re.search(r"^ *takes +.*recordings of each night that are used", said, re.MULTILINE), said
    assert "data       birdsong (pannsdist-birdsong 0.1.0): 2 classes" in said
    assert sorted(path.name for path in (work / "runs" / "log").glob("workerlog.*")) == ["workerlog.0", "workerlog.1"]
    answers = re.findall(r"^recordings/(wren14|owl15)\.wav +(\w+)", said, re.MULTILINE)
    assert answers == [("wren14", "wren"), ("owl15", "owl")], said
    origin = subprocess.run(
        [scripts / "python", "-c", "import pannsdist; print(pannsdist.__file__)"],
        cwd=work,
        env=kept,
        capture_output=True,
        text=True,
        check=True,
    )
    assert origin.stdout.startswith(str(tmp_path / "venv"))


def test_both_languages_say_the_same_commands():
    assert shell_blocks(PAGES[1]) == shell_blocks(PAGES[0])
