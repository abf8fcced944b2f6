"""Reads what W&B keeps of a run off-line: a log as LevelDB writes it, of W&B's messages. For tests."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HEADER, BLOCK = struct.Struct("<IHB"), 32768
WHOLE, FIRST, LAST = 1, 2, 4


def records(folder: Path) -> Iterator[Any]:
    """The records of the only off-line run in a run's folder."""
    from wandb.proto.wandb_internal_pb2 import Record

    (path,) = (folder / "wandb").glob("offline-run-*/*.wandb")
    content, place, frame = path.read_bytes(), 7, b""
    assert content[:4] == b":W&B"
    while place + HEADER.size <= len(content):
        if BLOCK - place % BLOCK < HEADER.size:
            place += BLOCK - place % BLOCK
            continue
        _, length, kind = HEADER.unpack_from(content, place)
        place += HEADER.size
        frame = (b"" if kind in (WHOLE, FIRST) else frame) + content[place : place + length]
        place += length
        if kind in (WHOLE, LAST):
            yield Record.FromString(frame)


def history(folder: Path) -> list[tuple[int, dict[str, Any]]]:
    """(step, {tag: value}) of every row."""
    rows = []
    for record in records(folder):
        if record.WhichOneof("record_type") == "history":
            items = record.history.item
            values = {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}
            rows.append((record.history.step.num, values))
    return rows
