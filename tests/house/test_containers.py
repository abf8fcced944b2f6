"""The container files: linted, pinned, and their commands run as they stand, where no Docker is needed."""

import configparser
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import packing
import pytest
from architecture import ROOT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

pytestmark = pytest.mark.any_paddle

FILES = {
    "Dockerfile": ("docker/requirements-cpu.txt", "3.12", ("cpu", "onnx", "serve", "av")),
    "Dockerfile.gpu": ("docker/requirements-gpu.txt", "3.10", ("gpu", "paddle26", "serve", "av")),
}
"""Their requirements, the Python of their image, and the extras that are installed."""
IMAGES = {
    "Dockerfile": "python:3.12-slim-bookworm",
    "Dockerfile.gpu": "nvidia/cuda:11.8.0-cudnn8-runtime-ubuntu22.04",
}
PINNED = re.compile(r"^([\w.-]+)==(\S+)((?: \\\n    --hash=sha256:[0-9a-f]{64})+)\n(?:    #.*\n)+", re.MULTILINE)
HADOLINT = Path(sys.executable).with_name("hadolint")


def instructions(name: str) -> list[tuple[str, str]]:
    """(instruction, arguments) of a Dockerfile; continued lines joined."""
    text = re.sub(r"^#.*\n", "", (ROOT / name).read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = re.sub(r" *\\\n *", " ", text).splitlines()
    return [(line.partition(" ")[0], line.partition(" ")[2]) for line in lines if line]


def pinned(file: str) -> dict[str, str]:
    """The version of each distribution of a requirements file."""
    text = (ROOT / file).read_text(encoding="utf-8")
    return {canonicalize_name(name): version for name, version, _ in PINNED.findall(text)}


def requirements(folder: Path, extras: tuple[str, ...] = ()) -> list[Requirement]:
    """What setup.cfg of a folder requires, with extras."""
    config = configparser.ConfigParser()
    config.read(folder / "setup.cfg", encoding="utf-8")
    texts = [config["options"]["install_requires"], *(config["options.extras_require"][extra] for extra in extras)]
    return [Requirement(line) for text in texts for line in text.split("\n") if line and not line.startswith("#")]


def installed_folders(name: str) -> list[str]:
    """The folders of the repository that an image installs without what they require: pannsdist and plugins."""
    (command,) = [text for word, text in instructions(name) if word == "RUN" and "--no-deps" in text]
    return [path.removeprefix("/source").strip("/") for path in shlex.split(command) if path.startswith("/source")]


@pytest.mark.parametrize("name", FILES)
def test_hadolint_has_nothing_to_say_and_no_rule_is_ignored(name):
    if not HADOLINT.exists():
        pytest.skip("no hadolint: pip install '.[dev]'")
    done = subprocess.run([HADOLINT, "--no-color", ROOT / name], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr
    assert "hadolint ignore" not in (ROOT / name).read_text(encoding="utf-8")
    assert not list(ROOT.glob(".hadolint*"))


@pytest.mark.parametrize("name", FILES)
def test_an_image_is_named_by_its_tag_runs_without_root_and_serves(name):
    lines = instructions(name)
    assert [text.partition(" AS ")[0] for word, text in lines if word == "FROM"] == [IMAGES[name]] * 2
    last = dict(lines)
    assert int(last["USER"]) > 0 and last["EXPOSE"] == "8000" and "/healthz" in last["HEALTHCHECK"]
    assert last["ENTRYPOINT"] == '["pannsdist"]' and '"serve", "--host", "0.0.0.0"' in last["CMD"]
    order = [word for word, _ in lines]
    assert order.index("USER") > max(place for place, word in enumerate(order) if word in ("RUN", "COPY", "FROM"))


@pytest.mark.parametrize("name", FILES)
def test_every_requirement_is_pinned_with_hashes_and_nothing_names_an_index(name):
    file, python, extras = FILES[name]
    text = (ROOT / file).read_text(encoding="utf-8")
    assert PINNED.sub("", re.sub(r"\A(?:#.*\n)+", "", text)) == "", "a line without a version or a hash"
    assert "://" not in text and "index" not in re.sub(r"^ *# .*$", "", text, flags=re.MULTILINE)
    assert "".join(f" --extra {extra}" for extra in extras) in text and f"--python-version {python}" in text
    versions = pinned(file)
    folders = installed_folders(name)
    assert folders[0] == "" and all((ROOT / folder / "setup.cfg").is_file() for folder in folders)
    own = {canonicalize_name(Path(folder).name or "pannsdist") for folder in folders}
    needed = [*requirements(ROOT, extras), *(one for folder in folders[1:] for one in requirements(ROOT / folder))]
    for requirement in needed:
        found = versions.get(canonicalize_name(requirement.name), "")
        held = canonicalize_name(requirement.name) in own or (found and requirement.specifier.contains(found))
        assert held, f"{requirement}, found {found!r}: make {file} again with the command in its first lines"


@pytest.mark.parametrize("name", FILES)
def test_what_is_copied_is_there_and_sent_to_docker(name):
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[:1] == "!"}
    assert all((ROOT / path).exists() for path in sent)
    sources = [text.split()[0] for word, text in instructions(name) if word == "COPY" and "--from" not in text]
    assert sources == [FILES[name][0], "."]
    assert {"docker", "pannsdist", "plugins", "setup.cfg", "setup.py", "configs", "README.md"} <= sent


@pytest.mark.long
def test_the_commands_of_the_dockerfile_give_an_installation_that_serves(tmp_path):
    """As the build stage of `Dockerfile` runs them, from what .dockerignore lets through; pip downloads 500 MB."""
    python = shutil.which("python3.12")
    if python is None or subprocess.run([python, "--version"], capture_output=True, check=False).returncode:
        pytest.skip("no Python 3.12, that of the image")
    source, target = tmp_path / "source", tmp_path / "pannsdist"
    sent = [line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line[:1] == "!"]
    for file in packing.tracked(*sent):
        if "/tests/" not in file:
            (source / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / file, source / file, follow_symlinks=False)
    stage = instructions("Dockerfile")
    stage = stage[1 : [word for word, _ in stage].index("FROM", 1)]
    env = {key: value for key, value in packing.clean_environment().items() if key != "VIRTUAL_ENV"}
    for text in (text for word, text in stage if word == "RUN"):
        command = text.replace("/source", str(source)).replace("/opt/pannsdist", str(target))
        said_by(command.replace("python -m venv", f"{python} -m venv"), tmp_path, env)
    env["PATH"] = f"{target / 'bin'}{os.pathsep}{env['PATH']}"
    assert re.search(r"^model +efficientat_mn04 ", said_by("pannsdist plugins list", tmp_path, env), re.MULTILINE)
    said_by("python -m pip check", tmp_path, env)
    small = "train.epochs=1 schedule.warmup_epochs=0 data.workers=0 trackers.visualdl=null"
    said_by(f"pannsdist train -c recipe:demo --nproc 1 {small} data.params.clips_per_class=4", tmp_path, env)
    assert is_healthy_when_started(tmp_path / "runs" / "demo" / "best_model", tmp_path, env)


def said_by(command: str, folder: Path, env: dict[str, str]) -> str:
    """The output of a command that must succeed."""
    done = subprocess.run(command, shell=True, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def is_healthy_when_started(model: Path, folder: Path, env: dict[str, str]) -> bool:
    """Whether HEALTHCHECK succeeds in time while ENTRYPOINT with CMD runs, on a free port and with this model."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    last = dict(instructions("Dockerfile"))
    started = [
        str(model) if word == "/model" else word for word in json.loads(last["ENTRYPOINT"]) + json.loads(last["CMD"])
    ]
    check = [word.replace("8000", port) for word in json.loads(last["HEALTHCHECK"].partition("CMD ")[2])]
    server = subprocess.Popen([*started, "--port", port], cwd=folder, env=env)
    try:
        for _ in range(120):
            if subprocess.run(check, env=env, stderr=subprocess.DEVNULL, check=False).returncode == 0:
                return True
            assert server.poll() is None, "the server ended"
            time.sleep(0.5)
        return False
    finally:
        server.terminate()
        server.wait(60)


@pytest.mark.long
def test_pip_resolves_the_packages_of_the_image_for_gpus(tmp_path):
    """Without installing them: the versions fit each other, and no package of the file lacks a hash."""
    python = shutil.which("python3.10")
    if python is None or subprocess.run([python, "--version"], capture_output=True, check=False).returncode:
        pytest.skip("no Python 3.10, that of the image")
    subprocess.run([python, "-m", "venv", tmp_path / "venv"], check=True)
    file = ROOT / FILES["Dockerfile.gpu"][0]
    command = [tmp_path / "venv/bin/python", "-m", "pip", "install", "--dry-run", "--require-hashes", "-r", file]
    done = subprocess.run(command, env=packing.clean_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "paddlepaddle-gpu-2.6.2" in done.stdout
