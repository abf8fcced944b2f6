"""Synchronization before each step: one all-reduce of batch sizes, errors and requests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pannsdist.contracts.batch import Batch
from pannsdist.distributed.world import World
from pannsdist.training.clock import Clock


@dataclass(frozen=True)
class StepRequest:
    """What a process requests before the next step. Any process may request `stop`; the rest counts on rank 0 only."""

    stop: bool
    is_time_up: bool = False
    save: bool = False
    has_writing_failed: bool = False


@dataclass(frozen=True)
class StepInputs:
    """This process's batch, the number of clips in the batches of all processes, and the combined requests."""

    batch: Batch
    all_clips: int
    request: StepRequest


def sync_step(world: World, batches: Iterator[Batch], clock: Clock, request: StepRequest) -> StepInputs:
    """Read the next batch and combine the requests of all processes. All processes must call this.

    If one process fails to read its batch, all of them raise before any of them enters the step.
    """
    with clock.waiting():
        batch, error = _next_batch(batches)
    own = (
        request.stop,
        *((request.is_time_up, request.save, request.has_writing_failed) if world.is_main else (0, 0, 0)),
    )
    clips = len(batch.ids) if batch else 0
    failures, all_clips, *requested = world.all_reduce_sum(float(error is not None), float(clips), *map(float, own))
    if failures or batch is None:
        world.agree(lambda: _raise(error))
    assert batch is not None
    return StepInputs(batch, int(all_clips), StepRequest(*map(bool, requested)))


def _next_batch(batches: Iterator[Batch]) -> tuple[Batch | None, Exception | None]:
    """(batch, None), or (None, error)."""
    try:
        return next(batches), None
    except StopIteration:
        return None, RuntimeError("the data ended before the epoch did")
    except Exception as error:  # noqa: BLE001 - it is raised again, in every process
        return None, error


def _raise(error: Exception | None) -> None:
    if error is not None:
        raise error
