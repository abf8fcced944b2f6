"""`pannsdist predict`, `tag`, `detect` and `embed`: inference on audio files."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pannsdist.cli.arguments import add_device, from_one
from pannsdist.cli.event_formats import EVENT_OUTPUT_FORMATS, EventOutput
from pannsdist.cli.formats import DECIDED_SCORES, FORMATS, SCORES, Output, Result
from pannsdist.cli.model_arguments import (
    RAW,
    add_engine,
    add_model,
    add_model_folder,
    add_rule,
    add_windows,
    load,
    sound_sources,
)
from pannsdist.runtime import console, outputs, storage
from pannsdist.runtime.errors import BadClip
from pannsdist.runtime.foreign import excerpt
from pannsdist.runtime.names import shown

if TYPE_CHECKING:
    from pannsdist.audio.reader import AudioInput
    from pannsdist.inference.detection import Rule
    from pannsdist.inference.model import Model


def add(commands: Any) -> None:
    """Add the subcommands to the parser."""
    predicting = commands.add_parser("predict", help="classify audio files with a trained model")
    add_model_folder(predicting)
    predicting.set_defaults(weights="")
    _add_files(predicting, topk=5)
    predicting.set_defaults(run=_predict)
    tagging = commands.add_parser("tag", help="tag audio files with AudioSet's 527 classes, or those of a model folder")
    add_model(tagging)
    _add_files(tagging, topk=10)
    tagging.set_defaults(run=_predict)
    detecting = commands.add_parser("detect", help="detect sound events with onset and offset")
    add_model(detecting)
    add_rule(detecting)
    detecting.add_argument(
        "--plot", type=Path, help="plot waveform, log-mel and class probabilities of one file (OUT.png)"
    )
    frames = "frame-level output if the network has it, else 1"
    _add_files(detecting, topk=None, formats=EVENT_OUTPUT_FORMATS, default_window=frames)
    detecting.set_defaults(run=_detect)
    embedding = commands.add_parser("embed", help="compute an embedding of each audio file")
    add_model(embedding)
    embedding.add_argument("-o", "--output", type=Path, required=True, help="output file (.npz)")
    _add_files(embedding, topk=None, formats=())
    embedding.set_defaults(run=_embed)


def _add_files(
    parser: argparse.ArgumentParser,
    topk: int | None,
    formats: Sequence[str] = FORMATS,
    default_window: str = "that of the model",
) -> None:
    parser.add_argument("files", nargs="+", help="audio files, folders, or - for a list on standard input")
    add_windows(parser, default_window)
    if topk is not None:
        parser.add_argument("--topk", type=_from_one, default=topk, help=f"number of labels per file (default: {topk})")
        parser.add_argument("--threshold", type=float, help="minimum probability of a label (default: none)")
    if formats:
        parser.add_argument("--format", choices=formats, help="default: by the ending of -o, else table")
        parser.add_argument("-o", "--output", type=Path, help="output file (default: the terminal)")
        parser.add_argument("--raw", action="store_true", help=RAW)
    add_engine(parser)
    add_device(parser)
    batches = "windows per forward pass, at most, also of several files (default: by the table, 8)"
    parser.add_argument("--batch-size", type=from_one, metavar="N", help=batches)


def predict(model: Model, paths: Sequence[AudioInput], topk: int, output: Output, rule: Rule | None = None) -> bool:
    """Write the most probable labels of each file that reach the threshold of a rule, if one is given.

    Of a model with decisions the decision too.
    Returns False if a file could not be read.
    """
    failures: list[BadClip] = []
    decisions = model.decisions

    def results() -> Iterator[Result]:
        for prediction in model.predictor.predict(paths):
            if prediction.error is None:
                scores = tuple(pair for pair in prediction.scores[:topk] if rule is None or rule.reached(pair[1]))
                found = _result(prediction.source, scores, prediction.remarks)
                more = {} if decisions is None else {"decision": prediction.decision, "energy": prediction.energy}
                yield replace(found, more={**more, **found.more})
            else:
                failures.append(prediction.error)

    output.write(SCORES if decisions is None else DECIDED_SCORES, results())
    return _print_errors(failures)


def detect(
    model: Model, paths: Sequence[AudioInput], rule: Rule, output: EventOutput, plot: Path | None = None
) -> bool:
    """Write the events of each file; returns False if a file could not be read. `plot` is the image of one file."""
    from pannsdist.audio.loudness import LevelMeter
    from pannsdist.inference.detection import events
    from pannsdist.inference.drawing.detection import plot_events

    failures: list[BadClip] = []

    def results() -> Iterator[Result]:
        for path in paths:
            meter = LevelMeter()
            try:
                if plot is None:
                    found = events(model.timeline(path, meter), model.labels, rule)
                else:
                    found, note = plot_events(model, path, rule, plot, meter)
                    if note:
                        console.note_main(note)
                yield _result(path, found, meter.remarks())
            except BadClip as error:
                failures.append(error)

    output.write_events(results())
    return _print_errors(failures)


def embed(model: Model, paths: Sequence[AudioInput], output: Path) -> bool:
    """Save `paths` (N,) and `embeddings` (N, E) of the files; returns False if a file could not be read."""
    import numpy as np

    failures, read, vectors = [], [], []
    for embedding in model.predictor.embeddings(paths):
        if embedding.error is not None:
            failures.append(embedding.error)
        else:
            found = _result(embedding.source, embedding.vector, embedding.remarks)
            vectors.append(found.found)
            read.append(found.path)
    if vectors:
        stacked = np.stack(vectors)
        storage.stream_atomic(output, lambda file: np.savez(file, paths=np.array(read), embeddings=stacked))
        print(f"{len(read)} embeddings of size {len(vectors[0])}: {output}")
    return _print_errors(failures)


def _result(source: AudioInput, found: Any, remarks: tuple[str, ...]) -> Result:
    """The result of a file, after a note on what is missing of it and on unusual levels; both are fields in JSON."""
    from pannsdist.audio.reader import missing_part

    path, incomplete = shown(source), missing_part(source)
    more: dict[str, Any] = {}
    if incomplete is not None:
        print(f"warning: {path}: {incomplete}", file=sys.stderr)
        more["incomplete"] = incomplete.record
    if remarks:
        console.note_main(f"{path}: {'; '.join(remarks)}")
        more["remarks"] = remarks
    return Result(path, found, more)


def _print_errors(failures: Sequence[BadClip]) -> bool:
    for failure in failures:
        print(f"error: {failure.wrong}", file=sys.stderr)
    return not failures


def _predict(chosen: argparse.Namespace) -> bool:
    from pannsdist.inference.detection import Rule

    rule = None if chosen.threshold is None else Rule(chosen.threshold)
    output, paths = _output(chosen), sound_sources(chosen.files)
    return predict(load(chosen), paths, chosen.topk, output, rule)


def _detect(chosen: argparse.Namespace) -> bool:
    from pannsdist.inference.detection import Rule

    if chosen.plot is not None:
        outputs.require_suffix(chosen.plot, (".png",), "--plot")
        outputs.require_file(chosen.plot, "--plot")
    Rule(0.3 if chosen.threshold is None else chosen.threshold, chosen.min_duration, chosen.min_gap)
    paths = sound_sources(chosen.files)
    output = EventOutput.of(chosen.output, chosen.format, paths)
    if chosen.plot is not None:
        from pannsdist.inference.drawing.plot import check_output

        check_output(chosen.plot, paths)
    model = load(chosen)
    rule = model.rule(chosen.threshold, chosen.min_duration, chosen.min_gap)
    return detect(model, paths, rule, output, chosen.plot)


def _output(chosen: argparse.Namespace) -> Output:
    """Where the results go; a file that cannot be written is refused before the work begins."""
    if chosen.output is not None:
        outputs.require_file(chosen.output, "-o")
    return Output(chosen.output, chosen.format)


def _embed(chosen: argparse.Namespace) -> bool:
    outputs.require_suffix(chosen.output, (".npz",), "-o")
    outputs.require_file(chosen.output, "-o")
    paths = sound_sources(chosen.files)
    return embed(load(chosen), paths, chosen.output)


def _from_one(text: str) -> int:
    if not re.fullmatch("0*[1-9][0-9]{0,8}", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"'{excerpt(text)}' is not a positive integer")
    return int(text)
