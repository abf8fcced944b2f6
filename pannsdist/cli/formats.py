"""Output formats of `predict`, `tag` and `detect`: table, JSON, JSON lines and CSV."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, TextIO

from pannsdist.contracts.event_files_writing import dcase_rows_text
from pannsdist.runtime import csv_text, outputs, storage
from pannsdist.runtime.figures import score

FORMATS = ("table", "json", "jsonl", "csv")


@dataclass(frozen=True)
class Result:
    """What was found in a file; `more` are further fields of its JSON record."""

    path: str
    found: Any
    more: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Format:
    """How a result is written: as a line of text, as a JSON record, and as rows of a table with these columns.

    `texts` are further formats of whole texts, by name: of a result, and whether it is the first.
    """

    line: Callable[[Any], str]
    record: Callable[[Any], dict[str, Any]]
    columns: Sequence[str]
    rows: Callable[[Any], Iterable[Sequence[Any]]]
    texts: Mapping[str, Callable[[Any, bool], str]] = field(default_factory=dict)


SCORES = Format(
    line=lambda result: (
        f"{result.path}  " + ("  ".join(f"{label} {score(value)}" for label, value in result.found) or "nothing")
    ),
    record=lambda result: {"path": result.path, "scores": dict(result.found), **result.more},
    columns=("path", "rank", "label", "score"),
    rows=lambda result: [(result.path, rank, *pair) for rank, pair in enumerate(result.found, start=1)],
)
EVENTS = Format(
    line=lambda result: (
        "\n".join(
            f"{result.path}  {e.onset_s:.2f}-{e.offset_s:.2f} s  {e.label} {score(e.score)}" for e in result.found
        )
        or f"{result.path}  nothing"
    ),
    record=lambda result: {"path": result.path, "events": [vars(event) for event in result.found], **result.more},
    columns=("path", "onset_s", "offset_s", "label", "score"),
    rows=lambda result: [(result.path, e.onset_s, e.offset_s, e.label, e.score) for e in result.found],
    texts={"dcase": lambda result, is_first: dcase_rows_text(result.path, result.found, is_first)},
)


@dataclass(frozen=True)
class Output:
    """Where results go, and in which of `FORMATS`. Raises UserError for a file with an ending of none of them."""

    path: Path | None = None
    given: str | None = None

    def __post_init__(self) -> None:
        outputs.format_of(self.path, self.given, FORMATS)

    @property
    def name(self) -> str:
        """The format."""
        return outputs.format_of(self.path, self.given, FORMATS)

    def write(self, output_format: Format, results: Iterable[Any]) -> None:
        """Write results to a file that appears once it is whole, or print each as soon as it is available.

        In the format `json` they are one list. Raises CannotWrite.
        """
        if self.path is None:
            _write(self.name, output_format, results, sys.stdout)
            return

        def fill(file: IO[bytes]) -> None:
            text = io.TextIOWrapper(file, encoding="utf-8", newline="\n")
            _write(self.name, output_format, results, text)
            text.detach()

        storage.stream_atomic(self.path, fill)


def _write(name: str, output_format: Format, results: Iterable[Any], stream: TextIO) -> None:
    if name == "json":
        records = [output_format.record(result) for result in results]
        print(json.dumps(records, indent=1, ensure_ascii=False), file=stream)
    elif name == "csv":
        csv_text.write_rows(stream, [output_format.columns])
        for result in results:
            csv_text.write_rows(stream, output_format.rows(result))
    elif name in output_format.texts:
        for number, result in enumerate(results):
            print(output_format.texts[name](result, not number), end="", file=stream, flush=True)
    else:
        for result in results:
            as_json = name == "jsonl"
            line = (
                json.dumps(output_format.record(result), ensure_ascii=False) if as_json else output_format.line(result)
            )
            print(line, file=stream, flush=True)
