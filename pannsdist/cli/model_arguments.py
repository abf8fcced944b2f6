"""Arguments of the commands that run a model on sounds: the model, its engine, and the names of sounds."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pannsdist.cli.arguments import PRECISIONS
from pannsdist.runtime import console, paddle_import
from pannsdist.runtime.errors import UserError

if TYPE_CHECKING:
    from pannsdist.contracts import EncodedSource
    from pannsdist.inference.model import Model

TAGGER = "panns_cnn14"
RAW = "scores of the network, without the decisions of `pannsdist calibrate`"
ENGINES = ("dygraph", "paddle", "onnx", "onednn")


def add_model(parser: argparse.ArgumentParser) -> None:
    """The options `--model` and `--weights`: a model folder, one on a hub, or a plugin with published weights."""
    what = "model folder, hf://USER/NAME or model plugin"
    parser.add_argument("--model", default=TAGGER, help=f"{what} (default: {TAGGER})")
    parser.add_argument(
        "--weights", default="", help="for a plugin: tag of its weights, or a file (default: its first tag)"
    )


class ModelPlace(argparse.Action):
    """A model folder as a path; an address as it is, since a path has no two slashes in a row."""

    def __call__(self, _: object, namespace: argparse.Namespace, values: Any, __: object = None) -> None:
        """Store the value."""
        setattr(namespace, self.dest, values if "://" in values else Path(values))


def add_model_folder(parser: argparse.ArgumentParser) -> None:
    """The option `--model` of a command that takes trained models only."""
    what = "model folder, such as runs/NAME/best_model, or hf://USER/NAME"
    parser.add_argument("--model", action=ModelPlace, required=True, help=what)


def add_engine(parser: argparse.ArgumentParser) -> None:
    """The options of every command that runs a network on sounds, but for training."""
    default = "by the table of this machine or of the package: pannsdist engines"
    parser.add_argument("--engine", choices=ENGINES, default="", help=f"what runs the network (default: {default})")
    other = "bf16: faster where the processor has it, other probabilities; int8 is for exports alone"
    parser.add_argument("--precision", choices=PRECISIONS, default="", help=f"{other} (default: fp32)")


def add_windows(parser: argparse.ArgumentParser, default: str) -> None:
    """The options `--window` and `--hop`."""
    parser.add_argument("--window", type=float, help=f"window length in seconds (default: {default})")
    parser.add_argument("--hop", type=float, help="hop between windows in seconds (default: the window length)")


def add_rule(parser: argparse.ArgumentParser) -> None:
    """The options of the rule by which events are found."""
    of_event = "minimum probability of an event (default: those of the model's decisions, else 0.3)"
    parser.add_argument("--threshold", type=float, help=of_event)
    of_gap = "merge events of a class with a shorter gap, in seconds"
    parser.add_argument("--min-gap", type=float, default=0.0, help=of_gap)
    of_duration = "drop shorter events, in seconds, after merging"
    parser.add_argument("--min-duration", type=float, default=0.0, help=of_duration)


def load(chosen: argparse.Namespace) -> Model:
    """The model that the options of a command choose, after its engine was told."""
    console.quiet_compiler()
    paddle_import.import_paddle()
    from pannsdist.inference.model import load_model

    windows, how = (chosen.window, chosen.hop), {"device": chosen.device or None, "batch_size": chosen.batch_size}
    engine, precision, raw = chosen.engine or None, chosen.precision or None, getattr(chosen, "raw", False)
    model = load_model(chosen.model, chosen.weights, engine, *windows, precision=precision, raw=raw, **how)
    print(f"engine: {model.engine}", file=sys.stderr, flush=True)
    return model


def sound_sources(files: Iterable[str]) -> list[Path | EncodedSource]:
    """The sound files that the arguments name; `-` is a list on standard input."""
    from pannsdist.inference.sounds import listed_names, sound_files

    found = sound_files(name for file in files for name in (listed_names(_standard_input()) if file == "-" else [file]))
    for skipped in found.skipped:
        console.note_main(f"left out: {skipped}")
    return list(found.sources)


def _standard_input() -> bytes:
    if sys.stdin is None:  # closed: `<&-`
        return b""
    try:
        return sys.stdin.buffer.read()
    except OSError as error:
        raise UserError(f"standard input cannot be read: {error.strerror}", "pipe a list of names") from error
