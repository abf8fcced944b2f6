"""What the experiments of one world left: figures without a judgement, as plain data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Speed:
    """Training steps of a real network: clips per second over all processes, and what part of the time they waited."""

    model: str
    clips_per_s: float
    waiting: float
    memory_mib: float | None = None


@dataclass(frozen=True)
class AllReduce:
    """Seconds of an all-reduce by its size in bytes."""

    size: int
    seconds: float


@dataclass(frozen=True)
class Figures:
    """One world. Losses are the mean over all clips of each step; None or empty where a device cannot do it.

    `resume_difference` and `recompute_difference` are the largest difference of a weight, of a loss. `replicas_equal`:
    all processes hold the same weights. `bad_step_kept`: a batch with a NaN changed no weight, in any process.
    `frozen_kept`, `unfrozen_equal`: frozen weights did not change; what was unfrozen is the same in every process.
    """

    devices: tuple[str, ...]
    losses: tuple[float, ...] = ()
    norm_losses: tuple[float, ...] = ()
    fp16_losses: tuple[float, ...] = ()
    bf16_losses: tuple[float, ...] = ()
    resume_difference: float | None = None
    recompute_difference: float | None = None
    replicas_equal: bool | None = None
    bad_step_kept: bool | None = None
    frozen_kept: bool | None = None
    unfrozen_equal: bool | None = None
    speed: Speed | None = None
    all_reduce: tuple[AllReduce, ...] = ()

    @property
    def is_on_gpus(self) -> bool:
        """Whether every process had a GPU."""
        return bool(self.devices) and all(device.startswith("gpu") for device in self.devices)


@dataclass(frozen=True)
class RunFigures:
    """What whole runs of the recipe `demo` left, one undisturbed, one stopped by SIGTERM and repeated.

    `score_difference`: largest difference between the scores of the run and those of `pannsdist evaluate` with its
    model. `checkpoints`, `damaged`: how many were written, and how many do not match their checksums.
    `resume_difference`: largest difference between the scores of the two runs. `crossval_code`: exit code of a
    cross-validation with one fold on each GPU, which runs with GPUs only. None where it did not come so far.
    """

    exit_code: int
    score_difference: float | None = None
    checkpoints: int = 0
    damaged: int = 0
    stop_code: int | None = None
    resume_code: int | None = None
    resume_difference: float | None = None
    crossval_code: int | None = None
    last_lines: str = ""
