"""The claims: each is a function from the figures of one and of several processes to a line of the table."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pannsdist.run.doctor.finding import Finding, error, ok, unknown, warning
from pannsdist.run.doctor.proving.figures import AllReduce, Figures, RunFigures
from pannsdist.runtime.errors import EXIT_STOPPED

EQUAL, GPU_EQUAL, HALF_EQUAL = 1e-5, 1e-3, 0.1
"""Largest relative difference of losses: in float32 on a CPU; on GPUs, which may compute in TF32; in half precision.

Half precision is compared over the last steps, since its first ones may only lower the loss scale."""
LAST = 4
NOT_HERE = ("promise 3, checkpoints after a crash or on a full disk",)
"""What `doctor --prove` does not try; tests of the repository do, on the CPU."""
ONE_ALONE = "there is one process: with a second GPU, or with --nproc, it can be tried"
NOT_ON_CPU = "not on a CPU: Paddle has no kernel for it there"
WITHOUT_GPUS = "not without GPUs; tests of the repository cross-validate on the CPU"
REPORT = "attach the file of --output to a bug report"


@dataclass(frozen=True)
class Claim:
    """A claim, and how it is judged from the figures of one process and of several."""

    name: str
    judge: Callable[[str, Figures, Figures], Finding]


def judged(one: Figures, several: Figures, runs: RunFigures) -> list[Finding]:
    """The table: every claim with its figure and verdict, then what is not tried."""
    found = [claim.judge(claim.name, one, several) for claim in CLAIMS]
    found += judged_runs(runs, several.is_on_gpus)
    return [*found, *(unknown(name, "not tried by this command: pytest in a checkout") for name in NOT_HERE)]


def difference(losses: Sequence[float], others: Sequence[float]) -> float:
    """The largest relative difference of two courses of losses; infinite where they are not comparable."""
    if not losses or len(losses) != len(others):
        return float("inf")
    return max(abs(other / loss - 1) if loss else float("inf") for loss, other in zip(losses, others, strict=True))


def _close(name: str, several: Figures, apart: float, seen: str) -> Finding:
    """Whether losses that differ by `apart` count as equal on these devices."""
    limit = GPU_EQUAL if several.is_on_gpus else EQUAL
    return ok(name, seen) if apart <= limit else error(name, f"{seen}, more than {limit:g}", REPORT)


def _world(name: str, one: Figures, several: Figures) -> Finding:
    seen = f"{len(several.devices)} processes: {', '.join(several.devices)}"
    if len(set(several.devices)) < len(several.devices) and several.is_on_gpus:
        return error(name, f"{seen}; two processes have the same GPU", REPORT)
    return (
        ok(name, seen) if several.is_on_gpus == one.is_on_gpus else error(name, f"{seen}; one: {one.devices}", REPORT)
    )


def _sizes(name: str, one: Figures, several: Figures) -> Finding:
    if len(several.devices) < 2:
        return unknown(name, ONE_ALONE)
    apart = difference(one.losses, several.losses)
    seen = f"losses of {len(one.losses)} steps differ by {apart:.1e} between 1 and {len(several.devices)} processes"
    return _close(name, several, apart, seen)


def _learns(name: str, one: Figures, several: Figures) -> Finding:
    for figures in (one, several):
        if not figures.losses or not figures.losses[-1] < figures.losses[0]:
            return error(name, f"losses {figures.losses}", REPORT)
    return ok(name, f"from {one.losses[0]:.3f} to {one.losses[-1]:.3f}")


def _resume(name: str, one: Figures, several: Figures) -> Finding:
    found = [figures.resume_difference for figures in (one, several)]
    known = [value for value in found if value is not None]
    if len(known) < len(found):
        return error(name, "was not measured", REPORT)
    seen = f"largest difference of a weight: {max(known):g}"
    if max(known) == 0:
        return ok(name, f"{seen}, bit for bit")
    report = warning if several.is_on_gpus else error
    return report(name, f"{seen}; bit for bit is promised on a CPU", REPORT)


def _yes(field: str, seen: str) -> Callable[[str, Figures, Figures], Finding]:
    """A claim that holds where a figure is true in both worlds."""

    def judge(name: str, one: Figures, several: Figures) -> Finding:
        values = [getattr(figures, field) for figures in (one, several)]
        return ok(name, seen) if values == [True, True] else error(name, f"no: {values} in 1 and several", REPORT)

    return judge


def _recompute(name: str, one: Figures, several: Figures) -> Finding:
    known = [value for value in (one.recompute_difference, several.recompute_difference) if value is not None]
    apart = max(known) if len(known) == 2 else float("inf")
    return _close(name, several, apart, f"losses differ by {apart:g} from those without")


def _norms(name: str, one: Figures, several: Figures) -> Finding:
    if not several.is_on_gpus:
        return unknown(name, NOT_ON_CPU)
    if len(several.devices) < 2:
        return unknown(name, ONE_ALONE)
    apart = difference(one.norm_losses, several.norm_losses)
    return _close(name, several, apart, f"losses differ by {apart:.1e} from those of one process")


def _half(field: str) -> Callable[[str, Figures, Figures], Finding]:
    def judge(name: str, one: Figures, several: Figures) -> Finding:
        if not several.is_on_gpus:
            return unknown(name, NOT_ON_CPU)
        pairs = [(figures.losses, getattr(figures, field)) for figures in (one, several)]
        if not all(half and all(map(math.isfinite, half)) for _, half in pairs):
            return error(name, f"losses {[half for _, half in pairs]}", REPORT)
        apart = max(abs(sum(half[-LAST:]) / sum(full[-LAST:]) - 1) for full, half in pairs)
        seen = f"the last losses differ by {apart:.1e} from float32"
        return ok(name, seen) if apart <= HALF_EQUAL else error(name, f"{seen}, more than {HALF_EQUAL:g}", REPORT)

    return judge


def _speed(name: str, one: Figures, several: Figures) -> Finding:
    if one.speed is None or several.speed is None:
        return error(name, "was not measured", REPORT)
    gain = several.speed.clips_per_s / one.speed.clips_per_s
    memory = "" if several.speed.memory_mib is None else f", {several.speed.memory_mib:.0f} MiB of each GPU"
    speeds = f"{one.speed.clips_per_s:.1f} and {several.speed.clips_per_s:.1f} clips/s"
    return ok(name, f"{one.speed.model}: {speeds} in 1 and {len(several.devices)} processes, x{gain:.2f}{memory}")


def _waiting(name: str, one: Figures, several: Figures) -> Finding:
    parts = [figures.speed.waiting for figures in (one, several) if figures.speed is not None]
    if len(parts) < 2:
        return error(name, "was not measured", REPORT)
    seen = f"{parts[0]:.0%} and {parts[1]:.0%} of the time in 1 and {len(several.devices)} processes"
    return (
        ok(name, seen)
        if max(parts) <= 0.2
        else warning(name, seen, "more data.workers, or WAV files at the model's rate")
    )


def _all_reduce(name: str, one: Figures, several: Figures) -> Finding:  # noqa: ARG001 - as all claims
    return all_reduce_finding(several, name)


def all_reduce_finding(several: Figures, name: str = "all-reduce") -> Finding:
    """Latency and bandwidth between the processes of a world, by the size of the message."""
    if len(several.devices) < 2:
        return unknown(name, ONE_ALONE)
    lines = all_reduce_lines(several.all_reduce, len(several.devices))
    return ok(name, "; ".join(lines)) if lines else error(name, "was not measured", REPORT)


def all_reduce_lines(measured: Sequence[AllReduce], processes: int) -> list[str]:
    """`16 MiB in 12.3 ms, 1300 MiB/s`: the rate is that of each link of a ring, 2 (N - 1) / N of the size per time."""
    found = []
    for one in measured:
        rate = 2 * (processes - 1) / processes * one.size / one.seconds / (1 << 20)
        size = f"{one.size >> 20} MiB" if one.size >= 1 << 20 else f"{one.size} bytes"
        found.append(f"{size} in {1e3 * one.seconds:.2f} ms" + (f", {rate:.0f} MiB/s" if one.size >= 1 << 20 else ""))
    return found


RUNS = ("promise 3, checkpoints", "promise 4, a signal saves and stops", "promise 5, scores", "promise 2, whole runs")
CROSSVAL = "crossval --gpus"


def judged_runs(runs: RunFigures, is_on_gpus: bool) -> list[Finding]:
    """The claims about whole runs."""
    checkpoints, stop, scores, resume = RUNS
    if runs.exit_code != 0:
        seen = f"a run of the demo ended with exit code {runs.exit_code}: {runs.last_lines}"
        return [error(name, seen, REPORT) for name in RUNS]
    sums = f"{runs.damaged} of {runs.checkpoints} do not match their checksums"
    found = [error(checkpoints, sums, REPORT) if runs.damaged or not runs.checkpoints else ok(checkpoints, sums)]
    if runs.stop_code == 0:
        found += [unknown(name, "the run was over before the signal came") for name in (stop, resume)]
    else:
        codes = f"exit code {runs.stop_code} after SIGTERM, {runs.resume_code} of the same command again"
        fine = (runs.stop_code, runs.resume_code) == (EXIT_STOPPED, 0)
        found.append(ok(stop, codes) if fine else error(stop, f"{codes}: {runs.last_lines}", REPORT))
        found.append(_differing(resume, runs.resume_difference, "of the run that was stopped", is_on_gpus))
    found.append(_differing(scores, runs.score_difference, "of pannsdist evaluate with the best model", is_on_gpus))
    return [*found, _crossval(runs)]


def _crossval(runs: RunFigures) -> Finding:
    if runs.crossval_code is None:
        return unknown(CROSSVAL, WITHOUT_GPUS)
    if runs.crossval_code != 0:
        return error(CROSSVAL, f"ended with exit code {runs.crossval_code}: {runs.last_lines}", REPORT)
    return ok(CROSSVAL, "two folds of the demo, each on a GPU of its own as far as there are two")


def _differing(name: str, apart: float | None, what: str, is_on_gpus: bool) -> Finding:
    """Scores that must be equal to the last digit on a CPU, and close on GPUs, whose kernels may add in any order."""
    if apart is None:
        return error(name, "was not measured", REPORT)
    seen = f"the scores {what} differ by {apart:g}"
    if apart == 0:
        return ok(name, seen)
    return (warning if is_on_gpus and apart <= GPU_EQUAL else error)(
        name, f"{seen}; they must be equal on a CPU", REPORT
    )


CLAIMS = (
    Claim("every process has its device", _world),
    Claim("promise 1, number of processes", _sizes),
    Claim("training learns", _learns),
    Claim("promise 2, resuming", _resume),
    Claim("equal weights in all processes", _yes("replicas_equal", "equal checksums after every run")),
    Claim("promise 6, losses not finite", _yes("bad_step_kept", "a batch with a NaN changed no weight")),
    Claim("promise 7, freezing", _yes("frozen_kept", "frozen weights did not change")),
    Claim("promise 7, unfreezing", _yes("unfrozen_equal", "what was unfrozen is equal in all processes")),
    Claim("recomputation", _recompute),
    Claim("SyncBatchNorm", _norms),
    Claim("amp fp16", _half("fp16_losses")),
    Claim("amp bf16", _half("bf16_losses")),
    Claim("throughput", _speed),
    Claim("waiting for data", _waiting),
    Claim("all-reduce", _all_reduce),
)
