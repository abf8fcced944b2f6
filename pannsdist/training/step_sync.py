"""What all processes must know before any of them enters a step, agreed in one sum."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pannsdist.contracts.batch import Batch
from pannsdist.distributed.world import World
from pannsdist.training.clock import Clock


@dataclass(frozen=True)
class StepRequest:
    """What this process would like to happen before the next step. Only `stop` counts in another than rank 0."""

    stop: bool
    is_time_up: bool = False
    save: bool = False
    has_writing_failed: bool = False


@dataclass(frozen=True)
class StepInputs:
    """This process's batch, the clips of all processes' batches, and what any process wished."""

    batch: Batch
    all_clips: int
    request: StepRequest


def sync_step(world: World, batches: Iterator[Batch], clock: Clock, request: StepRequest) -> StepInputs:
    """The next batch and the wishes of all. Every process.

    What one process met that cannot read its batch is raised in all of them, before any enters the step.
    """
    with clock.waiting():
        batch, error = _attempt(batches)
    own = (
        request.stop,
        *((request.is_time_up, request.save, request.has_writing_failed) if world.is_main else (0, 0, 0)),
    )
    clips = len(batch.ids) if batch else 0
    failures, all_clips, *wished = world.all_reduce_sum(float(error is not None), float(clips), *map(float, own))
    if failures or batch is None:
        world.agree(lambda: _raise(error))
    assert batch is not None
    return StepInputs(batch, int(all_clips), StepRequest(*map(bool, wished)))


def _attempt(batches: Iterator[Batch]) -> tuple[Batch | None, Exception | None]:
    """The next batch, or the error instead."""
    try:
        return next(batches), None
    except StopIteration:
        return None, RuntimeError("the data ended before the epoch did")
    except Exception as error:  # noqa: BLE001 - it is raised again, in every process
        return None, error


def _raise(error: Exception | None) -> None:
    if error is not None:
        raise error
