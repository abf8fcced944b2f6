"""A file of JSON lines that a run goes on with."""

import errno
import json

import disk_calls
import faulty_disk
import pytest

from pannsdist.contracts.lines import StepLines
from pannsdist.runtime.errors import CannotRead


def written(path, from_step, *rows):
    lines = StepLines(path, from_step)
    fresh = [lines.add(step, values) for step, values in rows]
    lines.close()
    return fresh


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_what_was_written_beyond_the_step_goes_and_nothing_stands_twice(tmp_path):
    path = tmp_path / "deep" / "lines.jsonl"
    written(path, 0, (2, {"loss": 1.0}), (4, {"loss": 0.5}), (4, {"accuracy": 0.25}), (6, {"loss": 0.4}))
    fresh = written(path, 4, (4, {"loss": 9.0, "accuracy": 9.0, "more": 1}), (6, {"loss": 0.4}))
    assert fresh == [{"more": 1}, {"loss": 0.4}]
    assert [line["step"] for line in read(path)] == [2, 4, 4, 4, 6]
    assert sum(line.get("loss", 0.0) for line in read(path)) == 1.0 + 0.5 + 0.4


def test_a_line_that_was_cut_off_is_dropped(tmp_path):
    path = tmp_path / "lines.jsonl"
    written(path, 0, (2, {"loss": 1.0}), (4, {"label": "狗\u2028"}), (6, {"loss": 0.4}))
    path.write_bytes(path.read_bytes()[:-5])
    lines = StepLines(path, 6)
    assert lines.kept == [{"step": 2, "loss": 1.0}, {"step": 4, "label": "狗\u2028"}]
    assert lines.add(6, {"loss": 0.4}) == {"loss": 0.4}
    lines.close()
    assert len(path.read_text(encoding="utf-8").split("\n")) == 4


def test_what_was_flushed_is_there_while_the_file_is_open(tmp_path):
    lines = StepLines(tmp_path / "lines.jsonl", 0)
    lines.add(2, {"loss": 1.0})
    lines.flush()
    assert read(tmp_path / "lines.jsonl") == [{"step": 2, "loss": 1.0}]
    lines.close()


def test_lines_that_cannot_be_read_now_are_not_lost(tmp_path):
    path = tmp_path / "lines.jsonl"
    lines = StepLines(path, 0)
    lines.add(3, {"loss": 1.0})
    lines.close()
    with faulty_disk.failing(path, errno.EIO), pytest.raises(CannotRead):
        StepLines(path, 3)
    with disk_calls.recorded() as calls:
        again = StepLines(path, 3)
    again.close()
    assert again.kept == [{"step": 3, "loss": 1.0}]
    assert calls[:2] == [("sync", ".lines.jsonl.writing"), ("rename", ".lines.jsonl.writing -> lines.jsonl")]
