"""Output formats of `predict`, `tag` and `detect`: table, JSON, JSON lines and CSV."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pannsdist.runtime import csv_text


@dataclass(frozen=True)
class Result:
    """What was found in a file; `more` are further fields of its JSON record."""

    path: str
    found: Any
    more: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Format:
    """How a result is written: as a line of text, as a JSON record, and as rows of a table with these columns."""

    line: Callable[[Any], str]
    record: Callable[[Any], dict[str, Any]]
    columns: Sequence[str]
    rows: Callable[[Any], Iterable[Sequence[Any]]]


SCORES = Format(
    line=lambda result: f"{result.path}  " + "  ".join(f"{label} {score:.4f}" for label, score in result.found),
    record=lambda result: {"path": result.path, "scores": dict(result.found), **result.more},
    columns=("path", "rank", "label", "score"),
    rows=lambda result: [(result.path, rank, *pair) for rank, pair in enumerate(result.found, start=1)],
)
EVENTS = Format(
    line=lambda result: (
        "\n".join(f"{result.path}  {e.onset_s:.2f}-{e.offset_s:.2f} s  {e.label} {e.score:.4f}" for e in result.found)
        or f"{result.path}  nothing"
    ),
    record=lambda result: {"path": result.path, "events": [vars(event) for event in result.found], **result.more},
    columns=("path", "onset_s", "offset_s", "label", "score"),
    rows=lambda result: [(result.path, e.onset_s, e.offset_s, e.label, e.score) for e in result.found],
)


def write(name: str, output_format: Format, results: Iterable[Any]) -> None:
    """Print results, each as soon as it is available, except in the format `json`, which is one list."""
    if name == "json":
        print(json.dumps([output_format.record(result) for result in results], indent=1, ensure_ascii=False))
    elif name == "csv":
        csv_text.write_rows(sys.stdout, [output_format.columns])
        for result in results:
            csv_text.write_rows(sys.stdout, output_format.rows(result))
    else:
        for result in results:
            as_json = name == "jsonl"
            line = (
                json.dumps(output_format.record(result), ensure_ascii=False) if as_json else output_format.line(result)
            )
            print(line, flush=True)
