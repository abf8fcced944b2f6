"""Times the engines for one model on this machine, interleaved, and compares their probabilities."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pannsdist.inference.engines.dygraph import Dygraph
from pannsdist.inference.engines.engine import Engine
from pannsdist.inference.engines.family import family
from pannsdist.inference.engines.kinds import ENGINES, engine_kind, require_precision
from pannsdist.inference.engines.output_layer import SCORES
from pannsdist.inference.engines.table import Row, measured_row
from pannsdist.inference.inference_model import InferenceModel
from pannsdist.runtime import cpu
from pannsdist.runtime.errors import UserError

USUAL_BATCH = 8
BATCHES = (4, USUAL_BATCH, 16)
WINDOWS = 16
GAIN = 1.05
"""A batch other than 8, or one thread, is chosen only where it is faster by more than this."""


@dataclass(frozen=True)
class Arm:
    """What is timed."""

    engine: str
    batch_size: int
    threads: int


@dataclass(frozen=True)
class Timing:
    """Windows per second of each round, and seconds of all cores per window, the median."""

    arm: Arm
    rounds: tuple[float, ...]
    core_s: float

    @property
    def median(self) -> float:
        """Windows per second."""
        return statistics.median(self.rounds)


@dataclass(frozen=True)
class Agreement:
    """Compared with dygraph in fp32: the largest difference of a probability, and the fraction of equal top classes."""

    difference: float
    same_top: float


@dataclass(frozen=True)
class Measured:
    """All timings; of each engine its agreement; of those that cannot run the reason; and the row of the fastest."""

    timings: tuple[Timing, ...]
    agreements: dict[str, Agreement]
    refused: dict[str, str]
    row: Row


def measure(inference_model: InferenceModel, precision: str, windows: np.ndarray, rounds: int) -> Measured:
    """Time every engine that has a precision, in rounds: the fastest, with its batch and threads.

    All `windows` (N, S) are compared, 16 are timed, repeated if there are fewer. All engines are in memory at once.
    Raises UserError if no engine can run.
    """
    require_precision(precision)
    expected = _run(Dygraph(inference_model), windows, USUAL_BATCH)
    engines, agreements, refused = dict[str, Engine](), dict[str, Agreement](), dict[str, str]()
    for name in ENGINES:
        try:
            engines[name] = engine_kind(name, precision).build(inference_model, precision, cpu.cores(), False)
            agreements[name] = agreement(_run(engines[name], windows, USUAL_BATCH), expected)
        except UserError as error:  # not installed, or a network that it cannot compile
            engines.pop(name, None)
            refused[name] = error.wrong
    if not engines:
        raise UserError(f"no engine runs {precision} here: {'; '.join(refused.values())}", "choose --precision fp32")
    many = np.resize(windows, (WINDOWS, windows.shape[1]))
    arms = {Arm(name, size, cpu.cores()): engine for name, engine in engines.items() for size in BATCHES}
    timings = _interleaved(arms, many, rounds)
    best = _best(timings)
    if cpu.cores() > 1 and best.arm.engine != "dygraph":
        alone = ENGINES[best.arm.engine].build(inference_model, precision, 1, False)
        pair = {best.arm: engines[best.arm.engine], replace(best.arm, threads=1): alone}
        again = _interleaved(pair, many, rounds)
        timings += again[1:]
        best = again[1] if again[1].median > GAIN * again[0].median else again[0]
    kind, chosen = family(inference_model.network.model), best.arm
    threads = 0 if chosen.threads == cpu.cores() else chosen.threads
    row = measured_row(kind, precision, chosen.engine, chosen.batch_size, threads)
    return Measured(tuple(timings), agreements, refused, row)


def agreement(found: np.ndarray, expected: np.ndarray) -> Agreement:
    """How far probabilities (N, C) are from the expected ones."""
    same = float((found.argmax(axis=1) == expected.argmax(axis=1)).mean())
    return Agreement(float(np.abs(found - expected).max()), same)


def _interleaved(arms: dict[Arm, Engine], windows: np.ndarray, rounds: int) -> list[Timing]:
    """Each arm once per round, after a round that is not counted."""
    found: dict[Arm, list[tuple[float, float]]] = {arm: [] for arm in arms}
    for number in range(rounds + 1):
        for arm, engine in arms.items():
            seconds = _timed(lambda: _run(engine, windows, arm.batch_size))  # noqa: B023 - called at once
            if number:
                found[arm].append(seconds)
    return [
        Timing(
            arm,
            tuple(len(windows) / wall for wall, _ in seconds),
            statistics.median(core for _, core in seconds) / len(windows),
        )
        for arm, seconds in found.items()
    ]


def _run(engine: Engine, windows: np.ndarray, size: int) -> np.ndarray:
    parts = range(0, len(windows), size)
    return np.concatenate([engine.run(SCORES, windows[first : first + size]) for first in parts])


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds by the clock, and of all cores."""
    wall, core = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - core


def _best(timings: Sequence[Timing]) -> Timing:
    """The fastest; with batches of 8 unless another size gains."""
    fastest = max(timings, key=lambda one: one.median)
    usual = next(one for one in timings if one.arm == replace(fastest.arm, batch_size=USUAL_BATCH))
    return fastest if fastest.median > GAIN * usual.median else usual


def lines(measured: Measured) -> Iterator[str]:
    """The result as a table."""
    heads = f"{'windows/s (min-max)':>26}{'core s/window':>15}  agreement with dygraph, fp32"
    yield f"{'engine':<9}{'batch':>6}{'threads':>8}{heads}"
    for one in sorted(measured.timings, key=lambda timing: -timing.median):
        close = measured.agreements[one.arm.engine]
        speed = f"{one.median:.2f} ({min(one.rounds):.2f}-{max(one.rounds):.2f})"
        said = f"differs by up to {close.difference:.2g}, top class equal in {close.same_top:.0%}"
        yield f"{one.arm.engine:<9}{one.arm.batch_size:>6}{one.arm.threads:>8}{speed:>26}{one.core_s:>15.3f}  {said}"
    for name, why in measured.refused.items():
        yield f"{name:<9} not measured: {why}"
