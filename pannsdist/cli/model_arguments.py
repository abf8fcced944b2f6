"""Arguments of the commands that run a model on sounds: the model, its engine, and the names of sounds."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from pannsdist.cli.arguments import PRECISIONS
from pannsdist.runtime import console
from pannsdist.runtime.errors import UserError

if TYPE_CHECKING:
    from pannsdist.contracts import EncodedSource

TAGGER = "panns_cnn14"
RAW = "scores of the network, without the decisions of `pannsdist calibrate`"
ENGINES = ("dygraph", "paddle", "onnx", "onednn")


def add_model(parser: argparse.ArgumentParser) -> None:
    """The options `--model` and `--weights`: a model folder, or a plugin with published weights."""
    parser.add_argument("--model", default=TAGGER, help=f"model folder or model plugin (default: {TAGGER})")
    parser.add_argument(
        "--weights", default="", help="for a plugin: tag of its weights, or a file (default: its first tag)"
    )


def add_engine(parser: argparse.ArgumentParser) -> None:
    """The options of every command that runs a network on sounds, but for training."""
    default = "by the table of this machine or of the package: pannsdist engines"
    parser.add_argument("--engine", choices=ENGINES, default="", help=f"what runs the network (default: {default})")
    other = "bf16: faster where the processor has it, other probabilities; int8 is for exports alone"
    parser.add_argument("--precision", choices=PRECISIONS, default="", help=f"{other} (default: fp32)")


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
