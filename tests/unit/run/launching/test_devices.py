"""How many processes a run gets, and on which GPUs."""

import os

import pytest

from pannsdist.run.launching.devices import Machine, choose_devices, this_machine
from pannsdist.runtime import cpu
from pannsdist.runtime.errors import SettingsError
from pannsdist.settings.schema import TrainSettings

GPUS = Machine(cores=16, gpus=("0", "1", "GPU-8f2", "3"), built_for_gpus=True)
CPU = Machine(cores=6)


def chosen(machine, batch_size=8, accumulate=1, nproc=None, gpus=()):
    return choose_devices(machine, TrainSettings(batch_size=batch_size, accumulate_steps=accumulate), nproc, gpus)


@pytest.mark.parametrize(
    ("machine", "batch_size", "accumulate", "processes"),
    [(CPU, 12, 1, 6), (CPU, 8, 1, 4), (CPU, 7, 1, 1), (CPU, 12, 4, 3), (GPUS, 8, 1, 4), (GPUS, 6, 1, 3)],
)
def test_by_itself_a_run_gets_a_process_for_each_core_or_gpu_that_the_batch_allows(
    machine, batch_size, accumulate, processes
):
    found = chosen(machine, batch_size, accumulate)
    assert (found.processes, found.gpus) == (processes, machine.gpus[:processes])


def test_the_choice_is_a_line():
    assert str(chosen(CPU, 12)) == "6 processes on the CPU (one for each core; --nproc N for another number)"
    reduced = "of 6 cores, as many as divide train.batch_size=8 equally; --nproc N for another number"
    assert str(chosen(CPU, 8)) == f"4 processes on the CPU ({reduced})"
    assert str(chosen(GPUS, gpus=("1", "GPU-8f2"))) == "2 processes on GPU 1,GPU-8f2 (--gpus)"
    assert str(chosen(CPU, nproc=1)) == "1 process on the CPU (--nproc)"


@pytest.mark.parametrize(
    ("machine", "nproc", "gpus", "wrong"),
    [
        (CPU, None, ("0",), "--gpus 0: the installed Paddle is built for the CPU"),
        (GPUS, None, ("0", "7"), "--gpus has 7, which is not a visible GPU\n  visible: 0, 1, GPU-8f2, 3"),
        (GPUS, 3, ("0", "1"), "--gpus has 2 GPUs, but --nproc is 3"),
        (GPUS, 5, (), "--nproc is 5, but 4 GPUs are visible"),
    ],
)
def test_gpus_that_are_not_there_are_refused(machine, nproc, gpus, wrong):
    with pytest.raises(SettingsError) as caught:
        chosen(machine, nproc=nproc, gpus=gpus)
    assert str(caught.value).startswith(wrong)


def test_hidden_gpus_are_not_used_behind_the_users_back(monkeypatch):
    hidden = Machine(cores=8, built_for_gpus=True, hides_gpus=True)
    assert str(chosen(hidden)) == "1 process on the CPU (CUDA_VISIBLE_DEVICES hides the GPUs)"
    with pytest.raises(SettingsError, match="--nproc is 2, but CUDA_VISIBLE_DEVICES hides the GPUs"):
        chosen(hidden, nproc=2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with chosen(hidden).selected():
        assert os.environ["CUDA_VISIBLE_DEVICES"] == ""


def test_a_paddle_for_the_cpu_leaves_gpus_unused():
    found = chosen(Machine(cores=2, gpus=("0", "1", "2", "3")))
    assert (found.processes, found.gpus) == (2, ())


@pytest.mark.parametrize(("named", "gpus"), [("", ()), ("0,2", ("0", "2")), ("1,-1,2", ("1",)), ("-1", ())])
def test_the_gpus_of_a_machine_are_those_that_the_environment_names(monkeypatch, named, gpus):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    found = this_machine()
    assert (found.cores, found.gpus) == (cpu.cores(), gpus)
    assert found.hides_gpus == (found.built_for_gpus and not gpus)


def test_without_that_variable_the_driver_is_asked(monkeypatch, tmp_path):
    (tmp_path / "nvidia-smi").write_text('#!/bin/sh\necho "GPU 0: A (UUID: GPU-1)"; echo "GPU 1: B (UUID: GPU-2)"\n')
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert this_machine().gpus == ("0", "1")
    monkeypatch.setenv("PATH", "")
    assert this_machine().gpus == ()


def test_the_processes_see_the_chosen_gpus_alone(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2")
    with chosen(GPUS, nproc=2).selected():
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "0,1"
    with chosen(CPU).selected():
        assert "CUDA_VISIBLE_DEVICES" not in os.environ
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0,1,2"
