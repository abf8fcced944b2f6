"""The claims are judged from figures: of GPUs too, whose names are exchanged here."""

import math
from dataclasses import replace

import pytest

from pannsdist.run.doctor.finding import Verdict
from pannsdist.run.doctor.proving.claims import (
    CLAIMS,
    CROSSVAL,
    NOT_HERE,
    RUNS,
    all_reduce_finding,
    all_reduce_lines,
    judged,
    judged_runs,
)
from pannsdist.run.doctor.proving.figures import AllReduce, Figures, RunFigures, Speed
from pannsdist.run.doctor.proving.whole_runs import difference

pytestmark = pytest.mark.any_paddle
LOSSES = tuple(2.0 - 0.05 * step for step in range(20))
ONE = Figures(("cpu",), LOSSES, (), (), (), 0.0, 0.0, True, True, True, True, Speed("panns_cnn6", 4.0, 0.0))
TWO = replace(ONE, devices=("cpu", "cpu"), all_reduce=(AllReduce(4, 1e-4), AllReduce(1 << 20, 0.01)))
RUN = RunFigures(0, 0.0, 3, 0, 75, 0, 0.0)
HALF = tuple(1.001 * loss for loss in LOSSES)


def on_gpus(figures, **changes):
    """The same figures of GPUs, with what only they have."""
    devices = tuple(f"gpu:{number} NVIDIA H100" for number in range(len(figures.devices)))
    speed = replace(figures.speed, memory_mib=9000.0)
    made = replace(figures, devices=devices, norm_losses=LOSSES, fp16_losses=HALF, bf16_losses=HALF, speed=speed)
    return replace(made, **changes)


def verdicts(one=ONE, several=TWO):
    runs = replace(RUN, crossval_code=0 if several.is_on_gpus else None)
    return {finding.name: finding.verdict for finding in judged(one, several, runs) if finding.name not in NOT_HERE}


def unlike(one, several, verdict):
    return [name for name, found in verdicts(one, several).items() if found is verdict]


def test_on_a_cpu_every_claim_holds_but_those_without_a_kernel_there():
    found = verdicts()
    assert len(found) == len(CLAIMS) + len(RUNS) + 1
    without = ["SyncBatchNorm", "amp fp16", "amp bf16", CROSSVAL]
    assert [name for name, verdict in found.items() if verdict is not Verdict.OK] == without
    assert {found[name] for name in without} == {Verdict.UNKNOWN}


def test_on_gpus_every_claim_holds():
    assert set(verdicts(on_gpus(ONE), on_gpus(TWO)).values()) == {Verdict.OK}


def test_what_is_not_tried_is_listed_by_name():
    assert [one.name for one in judged(ONE, TWO, RUN)][-len(NOT_HERE) :] == list(NOT_HERE)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"losses": (*LOSSES[:-1], 1.06)}, "promise 1, number of processes"),
        ({"losses": LOSSES[:-1]}, "promise 1, number of processes"),
        ({"resume_difference": 1e-9}, "promise 2, resuming"),
        ({"resume_difference": None}, "promise 2, resuming"),
        ({"replicas_equal": False}, "equal weights in all processes"),
        ({"bad_step_kept": False}, "promise 6, losses not finite"),
        ({"frozen_kept": False}, "promise 7, freezing"),
        ({"unfrozen_equal": None}, "promise 7, unfreezing"),
        ({"recompute_difference": 0.1}, "recomputation"),
        ({"recompute_difference": None}, "recomputation"),
        ({"speed": None}, "throughput"),
        ({"all_reduce": ()}, "all-reduce"),
    ],
)
def test_a_claim_that_does_not_hold_is_an_error(change, name):
    assert name in unlike(ONE, replace(TWO, **change), Verdict.ERROR)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"norm_losses": (*LOSSES[:-1], 1.06)}, "SyncBatchNorm"),
        ({"norm_losses": ()}, "SyncBatchNorm"),
        ({"fp16_losses": (*HALF[:-1], math.nan)}, "amp fp16"),
        ({"bf16_losses": (*HALF[:-4], 3.0, 3.0, 3.0, 3.0)}, "amp bf16"),
        ({"bf16_losses": ()}, "amp bf16"),
        ({"devices": ("gpu:0 NVIDIA H100", "gpu:0 NVIDIA H100")}, "every process has its device"),
        ({"devices": ("gpu:0 NVIDIA H100", "cpu")}, "every process has its device"),
    ],
)
def test_a_claim_of_gpus_that_does_not_hold_is_an_error(change, name):
    assert name in unlike(on_gpus(ONE), on_gpus(TWO, **change), Verdict.ERROR)


def test_training_that_learns_nothing_proves_nothing():
    flat = replace(ONE, losses=LOSSES[::-1])
    assert unlike(flat, replace(TWO, losses=LOSSES[::-1]), Verdict.ERROR) == ["training learns"]


def test_a_gpu_that_resumes_almost_equally_is_a_warning():
    assert unlike(on_gpus(ONE), on_gpus(TWO, resume_difference=1e-7), Verdict.WARNING) == ["promise 2, resuming"]


def test_one_gpu_alone_proves_nothing_about_several_processes():
    alone = on_gpus(ONE)
    names = ["promise 1, number of processes", "SyncBatchNorm", "all-reduce"]
    assert unlike(alone, alone, Verdict.UNKNOWN) == names


def test_much_waiting_for_data_is_a_warning():
    slow = replace(TWO, speed=Speed("panns_cnn6", 4.0, 0.5))
    assert unlike(ONE, slow, Verdict.WARNING) == ["waiting for data"]


def test_the_rate_of_an_all_reduce_is_that_of_a_link_of_the_ring():
    assert all_reduce_lines([AllReduce(4, 1e-4), AllReduce(8 << 20, 0.01)], 4) == [
        "4 bytes in 0.10 ms",
        "8 MiB in 10.00 ms, 1200 MiB/s",
    ]
    assert all_reduce_finding(ONE).verdict is Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("change", "name", "verdict"),
    [
        ({"damaged": 1}, "promise 3, checkpoints", "error"),
        ({"checkpoints": 0}, "promise 3, checkpoints", "error"),
        ({"stop_code": 143}, "promise 4, a signal saves and stops", "error"),
        ({"resume_code": 2}, "promise 4, a signal saves and stops", "error"),
        ({"score_difference": 1e-9}, "promise 5, scores", "error"),
        ({"score_difference": None}, "promise 5, scores", "error"),
        ({"resume_difference": 1e-9}, "promise 2, whole runs", "error"),
    ],
)
def test_a_claim_about_whole_runs_that_does_not_hold_is_an_error(change, name, verdict):
    found = {one.name: one.verdict.value for one in judged_runs(replace(RUN, **change), is_on_gpus=False)}
    assert {key: value for key, value in found.items() if value != "ok"} == {name: verdict, CROSSVAL: "unknown"}


@pytest.mark.parametrize(("code", "verdict"), [(0, "ok"), (1, "error"), (None, "unknown")])
def test_a_cross_validation_on_gpus_is_judged_by_its_end(code, verdict):
    (found,) = [one for one in judged_runs(replace(RUN, crossval_code=code), is_on_gpus=True) if one.name == CROSSVAL]
    assert found.verdict.value == verdict


def test_gpus_may_differ_in_the_last_digits_and_a_run_may_be_over_before_the_signal():
    close = judged_runs(replace(RUN, resume_difference=1e-6), is_on_gpus=True)
    assert [one.verdict.value for one in close if one.name == "promise 2, whole runs"] == ["warning"]
    over = {one.name: one.verdict.value for one in judged_runs(replace(RUN, stop_code=0), is_on_gpus=True)}
    assert [name for name, verdict in over.items() if verdict == "unknown"] == [RUNS[1], RUNS[3], CROSSVAL]


def test_a_demo_that_fails_is_shown():
    found = judged_runs(RunFigures(1, last_lines="no space left"), is_on_gpus=False)
    assert {one.verdict for one in found} == {Verdict.ERROR}
    assert "no space left" in found[0].seen


def test_the_scores_of_two_runs_are_compared_without_their_times():
    rows = [{"epoch": 1, "valid/loss": 0.5, "seconds": 3.0}, {"epoch": 2, "valid/loss": 0.25, "seconds": 3.0}]
    others = [{**row, "seconds": 9.0} for row in rows]
    assert difference(rows, others) == 0.0
    assert difference(rows, [rows[0], {**rows[1], "valid/loss": 0.75}]) == 0.5
    assert difference(rows, rows[:1]) == difference([], []) == math.inf
