"""Which engine runs a model: chosen by the user, else by a table. Nothing is timed here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import paddle

from pannsdist.inference.engines.engine import Engine
from pannsdist.inference.engines.family import family
from pannsdist.inference.engines.kinds import BF16, ENGINES, FP32, engine_kind, require_precision
from pannsdist.inference.engines.on_device import OnDevice
from pannsdist.inference.engines.table import Row, machine_rows, package_rows
from pannsdist.inference.inference_model import InferenceModel
from pannsdist.runtime import console, cpu, devices
from pannsdist.runtime.errors import UserError

BATCH_WINDOWS = 8
USER, MACHINE, PACKAGE = "chosen by the user", "table of this machine", "table of the package"


@dataclass(frozen=True)
class EngineWish:
    """What the user chose: engine, precision and device; empty: by the tables, fp32, Paddle's current device."""

    engine: str = ""
    precision: str = ""
    device: str = ""


@dataclass(frozen=True)
class EngineChoice:
    """The engine of a model: its name, the precision of its convolutions, windows per batch, threads, and why it is it.

    `threads` is 0 where Paddle decides. `is_patient`: the first windows are run in dynamic mode, then it compiles.
    """

    engine: str
    precision: str
    batch_size: int
    threads: int
    reason: str
    is_patient: bool = False

    def __str__(self) -> str:
        later = ", from the ninth window on" if self.is_patient else ""
        return f"{self.engine}, {self.precision}{later} ({self.reason})"


def choose(inference_model: InferenceModel, wish: EngineWish) -> EngineChoice:
    """The engine for a model here.

    Raises UserError for an unknown engine or precision, for a device that is not there, and for what cannot run here.
    A row of a table whose engine is not installed is passed over; precisions are never exchanged.
    """
    precision = wish.precision or FP32
    require_precision(precision)
    place = devices.find(wish.device, devices.available()) if wish.device else paddle.get_device()
    if place != devices.CPU and (wish.engine or "dygraph") != "dygraph" and wish.device:
        raise UserError(
            f"the engine '{wish.engine}' runs on the CPU, not on '{wish.device}'", "choose dygraph for a GPU"
        )
    if place != devices.CPU and precision == BF16:
        raise UserError(f"bf16 is for the CPU, and the device is {place}", "leave the precision out on a GPU")
    if wish.engine:
        engine_kind(wish.engine, precision)
        return EngineChoice(wish.engine, precision, BATCH_WINDOWS, cpu.cores(), USER)
    if place != devices.CPU:
        return EngineChoice("dygraph", FP32, BATCH_WINDOWS, 0, f"the device is {place}")
    return _by_table(family(inference_model.network.model), precision)


def _by_table(kind: str, precision: str) -> EngineChoice:
    refused = UserError(f"no engine runs {precision} here", "choose fp32", "use --precision fp32")
    for row, origin in _rows(kind, precision):
        try:
            engine_kind(row.engine, precision)
        except UserError as error:
            refused = error
            if origin == MACHINE:
                console.note_main(f"the {origin} chooses the engine {row.engine}, but {error.wrong}: another is used")
            continue
        threads = min(row.threads or cpu.cores(), cpu.cores())
        is_patient = precision == FP32 and row.engine in ("paddle", "onnx")
        return EngineChoice(row.engine, precision, row.batch_size, threads, f"{origin}: {kind} network", is_patient)
    raise refused


def _rows(kind: str, precision: str) -> Iterator[tuple[Row, str]]:
    yield from ((row, MACHINE) for row in machine_rows() if row.fits(kind, precision))
    yield from ((row, PACKAGE) for row in package_rows() if row.fits(kind, precision))


def build(inference_model: InferenceModel, choice: EngineChoice, device: str = "") -> Engine:
    """A chosen engine. Without a `device` it runs on Paddle's current one; the others than dygraph on the CPU only."""
    made = ENGINES[choice.engine].build(inference_model, choice.precision, choice.threads, choice.is_patient)
    return OnDevice(made, device) if device else made


def build_engine(inference_model: InferenceModel, name: str = "", device: str = "", precision: str = "") -> Engine:
    """The engine that `choose` gives, built."""
    return build(inference_model, choose(inference_model, EngineWish(name, precision, device)), device)
