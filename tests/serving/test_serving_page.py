"""What docs/en/serving.md says can be typed and run, against a server that its first command starts."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import served

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "en" / "serving.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = [line for language, text in BLOCKS if not language for line in text.splitlines()]
PROGRAMS = [text for language, text in BLOCKS if language == "python"]
ELSEWHERE = {"python benchmarks/serving.py", "python benchmarks/serving.py --rounds 3 --engine onnx"}
"""They stand in benchmarks/README.md, too, and tests/docs runs them."""
ADDRESS = "http://127.0.0.1:8000"


@pytest.fixture(scope="module")
def typed(folders, environment, sounds, tmp_path_factory):
    """The server of the page, and a folder with the sounds that the page names."""
    place = tmp_path_factory.mktemp("page")
    shutil.copy(next(sound for sound in sounds if sound.suffix == ".wav"), place / "dog.wav")
    shutil.copy(next(sound for sound in sounds if sound.suffix == ".ogg"), place / "rain.ogg")
    starts = [shlex.split(command) for command in COMMANDS if command.startswith("pannsdist serve")]
    options = [word.replace("runs/NAME/best_model", f"NAME={folders['plain']}") for word in starts[0][2:]]
    with served.Server(*options, env=environment) as server:
        yield server, place


@pytest.mark.parametrize(
    "command", [line for line in COMMANDS if not line.startswith("pannsdist serve") and line not in ELSEWHERE]
)
def test_each_command_is_answered(typed, command):
    server, place = typed
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    words = ["curl", "-sS", *shlex.split(command.replace(ADDRESS, server.address))[1:]]
    done = subprocess.run(words, cwd=place, capture_output=True, text=True, timeout=served.END_S, check=True)
    record = json.loads(done.stdout)
    assert record["model"] == "NAME"
    assert record["results"]


@pytest.mark.parametrize("program", PROGRAMS, ids=range(len(PROGRAMS)))
def test_each_program_prints_labels(typed, program):
    server, place = typed
    command = [sys.executable, "-c", program.replace(ADDRESS, server.address)]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=served.END_S, check=True)
    assert "rain" in done.stdout


def test_the_limits_of_the_page_are_those_of_the_command():
    said = subprocess.run(
        [*served.COMMAND, "--help"], capture_output=True, text=True, timeout=served.END_S, check=True
    ).stdout
    for option, default in re.findall(r"^\| `(--max-[a-z-]+|--timeout-s)` \| (\d+) \|", PAGE, re.MULTILINE):
        found = re.search(rf"{option} \S+\s+(?:[^-]|-(?!-))*?\(default: (\d+)\)", said)
        assert found, option
        assert found[1] == default, option


@pytest.mark.parametrize("page", ["README.md", "README_cn.md"])
def test_the_transcript_of_the_readme_ends_with_what_the_command_prints(typed, page):
    server, _ = typed
    text = (Path(__file__).resolve().parents[2] / page).read_text(encoding="utf-8")
    assert server.ready.replace(server.address, ADDRESS) in text
