"""`pannsdist predict`, `tag`, `detect`, `embed`: what networks answer about sound files; `export` takes them along."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pannsdist.runtime import console
from pannsdist.runtime.errors import BadClip

if TYPE_CHECKING:
    from pannsdist.inference.detection import Event, Rule
    from pannsdist.inference.model import Model

TAGGER = "panns_cnn14"
ENGINES = ("dygraph", "paddle", "onnx")


@dataclass(frozen=True)
class Shape:
    """How an answer is written: as a line, as a record of JSON, as rows of a table with these columns."""

    line: Callable[[Any], str]
    record: Callable[[Any], dict[str, Any]]
    columns: Sequence[str]
    rows: Callable[[Any], Iterable[Sequence[Any]]]


SCORES = Shape(
    line=lambda answer: f"{answer[0]}  " + "  ".join(f"{label} {score:.4f}" for label, score in answer[1]),
    record=lambda answer: {"path": answer[0], "scores": dict(answer[1])},
    columns=("path", "rank", "label", "score"),
    rows=lambda answer: [(answer[0], rank, *pair) for rank, pair in enumerate(answer[1], start=1)],
)
EVENTS = Shape(
    line=lambda answer: (
        "\n".join(f"{answer[0]}  {e.onset_s:.2f}-{e.offset_s:.2f} s  {e.label} {e.score:.4f}" for e in answer[1])
        or f"{answer[0]}  nothing"
    ),
    record=lambda answer: {"path": answer[0], "events": [vars(event) for event in answer[1]]},
    columns=("path", "onset_s", "offset_s", "label", "score"),
    rows=lambda answer: [(answer[0], e.onset_s, e.offset_s, e.label, e.score) for e in answer[1]],
)


def add(commands: Any) -> None:
    """The sub-commands for argparse."""
    predicting = commands.add_parser("predict", help="what a trained model hears in sound files")
    predicting.add_argument("--model", type=Path, required=True, help="a model folder, such as runs/NAME/best_model")
    predicting.set_defaults(weights="")
    _add_files(predicting, topk=5)
    predicting.set_defaults(run=_predict)
    tagging = commands.add_parser("tag", help="which of AudioSet's 527 classes are heard in sound files")
    _add_tagger(tagging)
    _add_files(tagging, topk=10)
    tagging.set_defaults(run=_predict)
    detecting = commands.add_parser("detect", help="which classes are heard from when to when")
    _add_either(detecting)
    detecting.add_argument("--threshold", type=float, default=0.3, help="probability from which a class is heard")
    detecting.add_argument("--min-gap", type=float, default=0.0, help="events with less silence between them are one")
    detecting.add_argument("--min-duration", type=float, default=0.0, help="shorter events (s) are then dropped")
    detecting.add_argument("--plot", type=Path, help="draw one file: waveform, log-mel, classes over time (OUT.png)")
    by_itself = "frames where the network decides by frame, else 1"
    _add_files(detecting, topk=None, own_window=by_itself)
    detecting.set_defaults(run=_detect)
    embedding = commands.add_parser("embed", help="a vector for each sound file, into one .npz file")
    _add_either(embedding)
    embedding.add_argument("-o", "--output", type=Path, required=True, help="the .npz file to write")
    _add_files(embedding, topk=None, formats=False)
    embedding.set_defaults(run=_embed)
    exporting = commands.add_parser("export", help="a model as a folder for Paddle Inference or onnxruntime alone")
    _add_either(exporting)
    exporting.add_argument("--format", choices=("paddle", "onnx"), default="paddle")
    exporting.add_argument("-o", "--output", type=Path, required=True, help="the folder to make")
    checks = "sound files to compare the export on (default: the first ones of the model's own dataset)"
    exporting.add_argument("--check", nargs="+", type=Path, default=[], metavar="FILE", help=checks)
    exporting.set_defaults(run=export)


def _add_files(
    parser: argparse.ArgumentParser, topk: int | None, formats: bool = True, own_window: str = "the model's own"
) -> None:
    parser.add_argument("files", nargs="+", help="sound files, folders of them, or - for a list on standard input")
    parser.add_argument("--window", type=float, help=f"seconds heard at a time (default: {own_window})")
    parser.add_argument("--hop", type=float, help="seconds from window to window (default: the window)")
    if topk is not None:
        parser.add_argument("--topk", type=_from_one, default=topk, help=f"labels of each file (default {topk})")
    if formats:
        parser.add_argument("--format", choices=("table", "json", "jsonl", "csv"), default="table")
    engines = "paddle is Paddle Inference with oneDNN, onnx is onnxruntime; both compile first"
    default = "paddle on a CPU, from the ninth window on; dygraph on a GPU"
    parser.add_argument("--engine", choices=ENGINES, default="", help=f"{engines} (default: {default})")


def _add_tagger(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default=TAGGER, help=f"a model plugin (default {TAGGER})")
    parser.add_argument("--weights", default="", help="a tag of the model's, or a file (default: its first tag)")


def _add_either(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default=TAGGER, help=f"a model folder, or a model plugin (default {TAGGER})")
    parser.add_argument("--weights", default="", help="for a plugin: a tag of it, or a file (default: its first tag)")


def predict(model: Model, paths: Sequence[Path], topk: int, form: str) -> bool:
    """The likeliest labels of every file that can be read; False if some could not."""
    failures: list[BadClip] = []

    def answers() -> Iterator[tuple[str, Sequence[tuple[str, float]]]]:
        for prediction in model.predictor.predict(paths):
            if prediction.error is None:
                yield str(prediction.source), prediction.scores[:topk]
            else:
                failures.append(prediction.error)

    write(form, SCORES, answers())
    return _told(failures)


def detect(model: Model, paths: Sequence[Path], rule: Rule, form: str, plot: Path | None = None) -> bool:
    """The events of every file that can be read; False if some could not. `plot` is where one is drawn."""
    from pannsdist.inference.detection import events

    failures: list[BadClip] = []

    def answers() -> Iterator[tuple[str, Any]]:
        for path in paths:
            try:
                if plot is None:
                    yield str(path), events(model.timeline(path), model.labels, rule)
                else:
                    yield str(path), _drawn(model, path, rule, plot)
            except BadClip as error:
                failures.append(error)

    write(form, EVENTS, answers())
    return _told(failures)


def _drawn(model: Model, path: Path, rule: Rule, output: Path) -> list[Event]:
    from pannsdist.audio.reader import duration_s, mono_blocks
    from pannsdist.inference.detection import events
    from pannsdist.inference.drawing.outline import Curves, Outline
    from pannsdist.inference.drawing.plot import Scene, draw

    length_s = duration_s(path)
    curves = Curves(length_s, len(model.labels))
    found = events(curves.record(model.timeline(path)), model.labels, rule)
    outline = Outline(length_s, model.sample_rate_hz).add(mono_blocks(path, model.sample_rate_hz))
    if said := draw(output, outline, curves, Scene(path.name, model.labels, found, rule.threshold)):
        print(f"note: {said}", file=sys.stderr)
    return found


def embed(model: Model, paths: Sequence[Path], output: Path) -> bool:
    """`paths` (N,) and `embeddings` (N, E) of every file that can be read; False if some could not."""
    import numpy as np

    failures, heard, vectors = [], [], []
    for path, vector in zip(paths, model.predictor.embeddings(paths), strict=True):
        if isinstance(vector, BadClip):
            failures.append(vector)
        else:
            vectors.append(vector)
            heard.append(str(path))
    if vectors:
        np.savez(output, paths=np.array(heard), embeddings=np.stack(vectors))
        print(f"{len(heard)} embeddings of {len(vectors[0])} numbers: {output}")
    return _told(failures)


def export(chosen: argparse.Namespace) -> None:
    """A model as a folder that is run without this package."""
    console.quiet_compiler()
    from pannsdist.contracts import Clip
    from pannsdist.inference.engines import export as exporting
    from pannsdist.inference.model import load_model
    from pannsdist.registry import Catalog

    clips = [Clip(str(path), path, ()) for path in _paths(map(str, chosen.check))]
    model = load_model(chosen.model, chosen.weights, "dygraph")
    if model.record is not None:
        clips = clips or exporting.dataset_clips(model.record, Catalog.installed())
    checked = exporting.export(model.inference_model, chosen.format, chosen.output, clips)
    print(f"{chosen.output}: {chosen.format}, compared on {', '.join(checked.clips)}")
    print(f"largest difference of a score: {checked.difference:.2g}")


def write(form: str, shape: Shape, answers: Iterable[Any]) -> None:
    """Answers on standard output, each as soon as it is there but for `json`, which is one list."""
    if form == "json":
        print(json.dumps([shape.record(answer) for answer in answers], indent=1, ensure_ascii=False))
    elif form == "csv":
        writer = csv.writer(sys.stdout)
        writer.writerow(shape.columns)
        for answer in answers:
            writer.writerows(shape.rows(answer))
    else:
        for answer in answers:
            text = shape.line(answer) if form == "table" else json.dumps(shape.record(answer), ensure_ascii=False)
            print(text, flush=True)


def _told(failures: Sequence[BadClip]) -> bool:
    for failure in failures:
        print(f"error: {failure.wrong}", file=sys.stderr)
    return not failures


def _predict(chosen: argparse.Namespace) -> bool:
    paths = _paths(chosen.files)
    return predict(_model(chosen), paths, chosen.topk, chosen.format)


def _detect(chosen: argparse.Namespace) -> bool:
    from pannsdist.inference.detection import Rule

    rule = Rule(chosen.threshold, chosen.min_duration, chosen.min_gap)
    paths = _paths(chosen.files)
    if chosen.plot is not None:
        from pannsdist.inference.drawing.plot import check_output

        check_output(chosen.plot, paths)
    return detect(_model(chosen), paths, rule, chosen.format, chosen.plot)


def _embed(chosen: argparse.Namespace) -> bool:
    paths = _paths(chosen.files)
    return embed(_model(chosen), paths, chosen.output)


def _paths(files: Iterable[str]) -> list[Path]:
    from pannsdist.inference.sounds import sound_files

    names = [name for file in files for name in (sys.stdin.read().splitlines() if file == "-" else [file])]
    return sound_files(Path(name) for name in names)


def _model(chosen: argparse.Namespace) -> Model:
    console.quiet_compiler()
    from pannsdist.inference.model import load_model

    return load_model(chosen.model, chosen.weights, chosen.engine or None, chosen.window, chosen.hop)


def _from_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 up")
    return int(text)
