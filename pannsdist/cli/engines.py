"""`pannsdist engines`: what can run a network here, and a table of this machine."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, Any

from pannsdist.cli.arguments import PRECISIONS, from_one
from pannsdist.runtime import console
from pannsdist.runtime.errors import UserError

if TYPE_CHECKING:
    from pannsdist.inference.model import Model


def add(commands: Any) -> None:
    """Add the subcommand to the parser."""
    what = "list the engines that can run a network here; measure them for a model"
    parser: argparse.ArgumentParser = commands.add_parser("engines", help=what)
    parser.add_argument("files", nargs="*", help="with --measure: sounds to compare the engines on (default: noise)")
    parser.add_argument("--model", default="", help="model folder or model plugin")
    parser.add_argument("--weights", default="", help="for a plugin: tag of its weights, or a file")
    parser.add_argument("--precision", choices=PRECISIONS, default="fp32", help="default: fp32")
    measuring = "time the engines for the model, and write the table of this machine, which counts from then on"
    parser.add_argument("--measure", action="store_true", help=measuring)
    parser.add_argument("--rounds", type=from_one, default=3, metavar="N", help="rounds of a measurement (default: 3)")
    parser.set_defaults(run=_run)


def _run(chosen: argparse.Namespace) -> None:
    if (chosen.measure or chosen.files) and not (chosen.measure and chosen.model):
        raise UserError("files or --measure need a model, and files need --measure", "give --model MODEL --measure")
    console.quiet_compiler()
    if not chosen.measure:
        _list(chosen)
        return
    from pannsdist.inference.engines import measuring
    from pannsdist.inference.engines.table import machine_rows, remember

    machine_rows()  # a damaged table is refused before the work
    model = _model(chosen)
    found = measuring.measure(model.inference_model, chosen.precision, _windows(model, chosen.files), chosen.rounds)
    print("\n".join(measuring.lines(found)))
    print(f"load of the machine while it was measured: {os.getloadavg()[0]:.1f}")
    row = found.row
    threads = row.threads or "one per core"
    print(f"\n{row.family} networks, {row.precision}: {row.engine}, batches of {row.batch_size}, threads: {threads}")
    print(f"written: {remember(row)}")


def _list(chosen: argparse.Namespace) -> None:
    from pannsdist.inference.engines.kinds import ENGINES, engine_kind, require_precision
    from pannsdist.inference.engines.table import machine_file, machine_rows
    from pannsdist.runtime import cpu

    require_precision(chosen.precision)
    rows, choice = machine_rows(), _model(chosen).engine if chosen.model else None
    here = cpu.processor()
    print(f"processor  {here.name}, {here.instructions}, {cpu.cores()} cores")
    for name, kind in ENGINES.items():
        for precision in kind.precisions:
            try:
                engine_kind(name, precision)
                state = "available"
            except UserError as error:
                state = f"not available: {error.wrong}"
            print(f"{name:<9}{precision:<6}{state} ({kind.what})")
    print(f"table of this machine: {machine_file()}, {len(rows)} rows" if rows else "table of this machine: none")
    if choice is not None:
        print(f"chosen: {choice}, batches of {choice.batch_size}, {choice.threads or 'one per core'} threads")
    else:
        print(
            "next: pannsdist engines --model MODEL shows what is chosen; with --measure it is measured", file=sys.stderr
        )


def _model(chosen: argparse.Namespace) -> Model:
    from pannsdist.inference.model import load_model

    return load_model(chosen.model, chosen.weights, precision=chosen.precision)


def _windows(model: Model, files: list[str]) -> Any:
    """Windows (N, S): the first of each file, padded to the longest of them, or eight of noise."""
    import numpy as np

    from pannsdist.inference.sounds import beginning, sound_files
    from pannsdist.inference.windowing import windowing

    lengths = windowing(model.inference_model)
    if not files:
        return np.random.default_rng(0).normal(0, 0.1, (8, lengths.window)).astype(np.float32)
    found = [beginning(path, model.sample_rate_hz, lengths.window) for path in sound_files(files).sources]
    longest = max(lengths.pad_to, *map(len, found))
    return np.stack([np.pad(sound, (0, longest - len(sound))) for sound in found])
