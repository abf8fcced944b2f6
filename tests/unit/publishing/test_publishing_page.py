"""The blocks of docs/en/publishing.md run as they stand, but for the names in them, with a hub on this machine."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import soundfile

pytestmark = [
    pytest.mark.any_paddle,
    pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning"),  # of huggingface_hub for httpx
]
PAGE = Path(__file__).resolve().parents[3] / "docs" / "en" / "publishing.md"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def said(hub, folder, run, tmp_path, monkeypatch):
    """What each command of the page printed."""
    monkeypatch.chdir(tmp_path)
    soundfile.write("a.wav", np.random.default_rng(0).normal(0, 0.1, 4000), 8000)
    (_, shell), _ = blocks()
    printed = []
    for command in shell.splitlines():
        commit = hub.repositories["me/small"].branches["main"] if "COMMIT" in command else ""
        meant = command.replace("runs/NAME/best_model", str(folder)).replace("USER/NAME", "me/small")
        code, out, complaint = run(*shlex.split(meant.replace("COMMIT", commit))[1:])
        assert code == 0, complaint
        printed.append(out)
    return printed


def blocks():
    return BLOCK.findall(PAGE.read_text(encoding="utf-8"))


def test_the_blocks_of_the_page_run_with_a_hub(hub, said, capsys):
    assert "nothing was published; to hf://me/small" in said[0]
    assert f"commit {hub.repositories['me/small'].branches['main']}, 4 files" in said[1]
    assert re.match(r"a\.wav +(high|low)", said[2])
    _, (_, python) = blocks()
    exec(compile(python.replace("USER/NAME", "me/small"), PAGE.name, "exec"), {})  # our own page
    assert "Answer(sound='a.wav'" in capsys.readouterr().out
