"""The wheel for a card: machine code against compute capability, before anything is installed too."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from pannsdist.run.doctor.wheel import PYPI_ARCHS, Card, cards, choose, has_code

pytestmark = pytest.mark.any_paddle
ROOT = Path(__file__).resolve().parents[4]
RTX_5090 = "0, NVIDIA GeForce RTX 5090, 12.0"


@pytest.fixture
def smi(tmp_path, monkeypatch):
    """A function that puts an nvidia-smi with these lines first on the path; those with `compute_cap` may fail."""

    def put(*lines, knows_capability=True):
        script = ["#!/bin/sh"]
        if not knows_capability:
            script.append('case "$*" in *compute_cap*) echo "Field is not a valid field to query."; exit 2;; esac')
        script += [f"echo {shlex.quote(line)}" for line in lines]
        (tmp_path / "nvidia-smi").write_text("\n".join(script) + "\n")
        (tmp_path / "nvidia-smi").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    return put


@pytest.mark.parametrize("capability", [61, 70, 72, 75, 80, 86, 89])
def test_pypis_wheel_serves_the_cards_of_its_machine_code(capability):
    assert has_code(PYPI_ARCHS, capability)


@pytest.mark.parametrize("capability", [50, 60, 90, 100, 103, 120])
def test_pypis_wheel_serves_no_older_and_no_newer_card(capability):
    assert not has_code(PYPI_ARCHS, capability)


def test_the_cards_are_those_of_nvidia_smi(smi):
    smi("0, NVIDIA A100-SXM4-40GB, 8.0", RTX_5090.replace("0,", "1,", 1))
    assert cards() == [Card("0", "NVIDIA A100-SXM4-40GB", 80), Card("1", "NVIDIA GeForce RTX 5090", 120)]


def test_a_driver_that_does_not_know_the_capability_still_lists_the_cards(smi):
    smi("0, Tesla T4", knows_capability=False)
    assert cards() == [Card("0", "Tesla T4", None)]
    assert choose(cards()).wheel == "gpu"


def test_without_nvidia_smi_there_are_no_cards(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert cards() == []
    assert choose([]).wheel == "cpu"


def alone(*arguments):
    """What the module prints, run as the Makefile does: without any installed package."""
    command = [
        sys.executable,
        "-I",
        "-S",
        "-c",
        "import sys; sys.path.insert(0, '.'); sys.argv[0:1] = []; import runpy; ",
    ]
    command[-1] += "runpy.run_module('pannsdist.run.doctor.wheel', run_name='__main__')"
    done = subprocess.run([*command, "wheel", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_make_takes_the_cpu_wheel_for_a_card_that_pypis_cannot_serve_and_names_paddles_index(smi):
    smi(RTX_5090)
    assert alone() == "cpu\n"
    said = alone("--why", "cpu")
    assert "GPU 0 (NVIDIA GeForce RTX 5090, compute capability 12.0)" in said
    assert "going on with the CPU wheel" in said
    assert "-i https://www.paddlepaddle.org.cn/packages/stable/cu129/" in said
    assert "this wheel fails on that GPU" in alone("--why", "gpu")


def test_make_takes_the_gpu_wheel_for_a_card_that_it_serves(smi):
    smi("0, NVIDIA GeForce RTX 4090, 8.9")
    assert alone() == "gpu\n"
    assert "serves it" in alone("--why", "gpu")


def test_one_card_of_two_that_is_not_served_is_enough(smi):
    smi("0, NVIDIA A100, 8.0", "1, NVIDIA H100, 9.0")
    assert alone() == "cpu\n"
    assert "GPU 1 (NVIDIA H100" in alone("--why", "cpu")


def test_the_makefile_chooses_by_this_check(smi):
    smi(RTX_5090)
    done = subprocess.run(["make", "-n", "-B", "demo"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "'.[cpu]'" in done.stdout
    assert "pannsdist.run.doctor.wheel --why cpu" in done.stdout
    assert "train -c recipe:demo --nproc 2" in done.stdout
