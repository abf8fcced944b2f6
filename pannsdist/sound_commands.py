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

from pannsdist import terminal
from pannsdist.errors import BadClip
from pannsdist.registry import Catalog

if TYPE_CHECKING:
    from pannsdist.inference.listener import Listener
    from pannsdist.inference.predictor import Predictor

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
    _add_files(predicting, topk=5)
    predicting.set_defaults(run=lambda chosen: predict(_own(chosen), chosen.files, chosen.topk, chosen.format))
    tagging = commands.add_parser("tag", help="which of AudioSet's 527 classes are heard in sound files")
    _add_tagger(tagging)
    _add_files(tagging, topk=10)
    tagging.set_defaults(run=lambda chosen: predict(_tagger(chosen), chosen.files, chosen.topk, chosen.format))
    detecting = commands.add_parser("detect", help="which classes are heard from when to when")
    _add_either(detecting)
    detecting.add_argument("--threshold", type=_share, default=0.3, help="probability from which a class is heard")
    _add_files(detecting, topk=None, window_s=1.0)
    detecting.set_defaults(run=lambda chosen: detect(_either(chosen), chosen.files, chosen.threshold, chosen.format))
    embedding = commands.add_parser("embed", help="a vector for each sound file, into one .npz file")
    _add_either(embedding)
    embedding.add_argument("-o", "--output", type=Path, required=True, help="the .npz file to write")
    _add_files(embedding, topk=None, formats=False)
    embedding.set_defaults(run=lambda chosen: embed(_either(chosen), chosen.files, chosen.output))
    exporting = commands.add_parser("export", help="a model as a folder for Paddle Inference or onnxruntime alone")
    _add_either(exporting)
    exporting.add_argument("--format", choices=("paddle", "onnx"), default="paddle")
    exporting.add_argument("-o", "--output", type=Path, required=True, help="the folder to make")
    checks = "sound files to compare the export on (default: the first ones of the model's own dataset)"
    exporting.add_argument("--check", nargs="+", type=Path, default=[], metavar="FILE", help=checks)
    exporting.set_defaults(run=export)


def _add_files(
    parser: argparse.ArgumentParser, topk: int | None, formats: bool = True, window_s: float | None = None
) -> None:
    parser.add_argument("files", nargs="+", help="sound files, folders of them, or - for a list on standard input")
    own = "the model's own" if window_s is None else f"{window_s:g}"
    parser.add_argument("--window", type=float, default=window_s, help=f"seconds heard at a time (default {own})")
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


def predict(predictor: Predictor, files: Iterable[str], topk: int, form: str) -> bool:
    """The likeliest labels of every file that can be read; False if some could not."""
    failures: list[BadClip] = []

    def answers() -> Iterator[tuple[str, Sequence[tuple[str, float]]]]:
        for prediction in predictor.predict(_paths(files)):
            if prediction.error is None:
                yield str(prediction.path), prediction.scores[:topk]
            else:
                failures.append(prediction.error)

    write(form, SCORES, answers())
    return _told(failures)


def detect(predictor: Predictor, files: Iterable[str], threshold: float, form: str) -> bool:
    """The events of every file that can be read; False if some could not."""
    from pannsdist.inference.detection import events

    failures: list[BadClip] = []

    def answers() -> Iterator[tuple[str, Any]]:
        for path in _paths(files):
            try:
                yield str(path), events(predictor.timeline(path), predictor.labels, threshold)
            except BadClip as error:
                failures.append(error)

    write(form, EVENTS, answers())
    return _told(failures)


def embed(predictor: Predictor, files: Iterable[str], output: Path) -> bool:
    """`paths` (N,) and `embeddings` (N, E) of every file that can be read; False if some could not."""
    import numpy as np

    failures, paths, vectors = [], [], []
    asked = _paths(files)
    for path, vector in zip(asked, predictor.embeddings(asked), strict=True):
        if isinstance(vector, BadClip):
            failures.append(vector)
        else:
            vectors.append(vector)
            paths.append(str(path))
    if vectors:
        np.savez(output, paths=np.array(paths), embeddings=np.stack(vectors))
        print(f"{len(paths)} embeddings of {len(vectors[0])} numbers: {output}")
    return _told(failures)


def export(chosen: argparse.Namespace) -> None:
    """A model as a folder that is run without this package."""
    terminal.quiet_compiler()
    from pannsdist.contracts import Clip
    from pannsdist.inference import export as exporting
    from pannsdist.inference.bundle import load_bundle
    from pannsdist.inference.listener import audioset_listener

    catalog, folder = Catalog.installed(), Path(chosen.model)
    clips = [Clip(str(path), path, ()) for path in _paths(map(str, chosen.check))]
    if folder.is_dir():
        bundle = load_bundle(folder, catalog)
        listener, clips = bundle.listener, clips or exporting.dataset_clips(bundle.record, catalog)
    else:
        listener = audioset_listener(catalog, chosen.model, chosen.weights)
    checked = exporting.export(listener, chosen.format, chosen.output, clips)
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


def _paths(files: Iterable[str]) -> list[Path]:
    from pannsdist.inference.predictor import sound_files

    names = [name for file in files for name in (sys.stdin.read().splitlines() if file == "-" else [file])]
    return sound_files(Path(name) for name in names)


def _own(chosen: argparse.Namespace) -> Predictor:
    terminal.quiet_compiler()
    from pannsdist.inference.bundle import load_bundle, read_record

    _paths(file for file in chosen.files if file != "-")
    read_record(chosen.model)
    return _asking(load_bundle(chosen.model, Catalog.installed()).listener, chosen)


def _tagger(chosen: argparse.Namespace) -> Predictor:
    terminal.quiet_compiler()
    from pannsdist.inference.listener import audioset_listener

    _paths(file for file in chosen.files if file != "-")
    return _asking(audioset_listener(Catalog.installed(), chosen.model, chosen.weights), chosen)


def _asking(listener: Listener, chosen: argparse.Namespace) -> Predictor:
    from pannsdist.inference.engine import engine
    from pannsdist.inference.predictor import Predictor

    return Predictor(listener, chosen.window, chosen.hop, engine(listener, chosen.engine))


def _either(chosen: argparse.Namespace) -> Predictor:
    """A folder is a model of one's own; anything else is a plugin's name."""
    folder = Path(chosen.model)
    if not folder.is_dir():
        return _tagger(chosen)
    chosen.model = folder
    return _own(chosen)


def _from_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 up")
    return int(text)


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a probability above 0, up to 1")
    return value
