"""`pannsdist logs`: the logs of all processes as one, in the order of time."""

import itertools

import pytest

from pannsdist.run import logs
from pannsdist.run.launching.log_times import LogTimes
from pannsdist.run.logs import followed, merged
from pannsdist.runtime.errors import BadRunFolder


class Node:
    """The logs of the processes of one node, and who notes their times."""

    def __init__(self, folder, processes, first=0):
        folder.mkdir(parents=True)
        self.logs = [folder / f"workerlog.{number}" for number in range(processes)]
        self.times = LogTimes(folder, self.logs, first)

    def prints(self, now, number, text):
        with self.logs[number].open("a") as log:
            log.write(text)
        self.times.note(now)


def texts(lines):
    return [(line.rank, line.text) for line in lines]


def test_lines_are_in_the_order_in_which_they_were_printed(tmp_path):
    node = Node(tmp_path / "log", 2)
    node.prints(10.0, 0, "a\nb\n")
    node.prints(11.0, 1, "c\n")
    node.prints(12.0, 0, "d")
    node.prints(13.0, 1, "e\n")
    node.prints(14.0, 0, " and more\nnot yet complete")
    assert texts(merged(tmp_path)) == [(0, "a"), (0, "b"), (1, "c"), (1, "e"), (0, "d and more")]
    assert texts(merged(tmp_path, rank=1)) == [(1, "c"), (1, "e")]


def test_each_node_has_logs_of_its_own_with_its_ranks(tmp_path):
    first, second = Node(tmp_path / "log" / "node-10.0.0.1", 2), Node(tmp_path / "log" / "node-10.0.0.2", 2, first=2)
    second.prints(10.0, 1, "a\n")
    first.prints(11.0, 0, "b\n")
    second.prints(12.0, 0, "c\n")
    assert texts(merged(tmp_path)) == [(3, "a"), (0, "b"), (2, "c")]
    assert texts(merged(tmp_path, rank=3)) == [(3, "a")]


def test_lines_that_every_start_prints_are_left_out(tmp_path):
    noise = "I1128 11:03:17.124761 15512 tcp_store.cc:336] create libuv server at port: 21000\n"
    Node(tmp_path / "log", 1).prints(10.0, 0, f"{noise}a\n")
    assert texts(merged(tmp_path)) == [(0, "a")]


def test_logs_whose_times_nobody_noted_are_shown(tmp_path):
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "workerlog.1").write_text("a\n")
    (line,) = merged(tmp_path)
    assert str(line) == "--:--:-- rank 1  a"


def test_damaged_times_are_left_out(tmp_path):
    node = Node(tmp_path / "log", 1)
    (tmp_path / "log" / "times.jsonl").write_bytes(b'\xff\n{"time": "x"}\n[]\n')
    node.prints(10.0, 0, "a\n")
    assert texts(merged(tmp_path)) == [(0, "a")]


def test_what_is_added_follows(tmp_path, monkeypatch):
    monkeypatch.setattr(logs, "FOLLOW_S", 0.01)
    node = Node(tmp_path / "log", 2)
    node.prints(10.0, 0, "a\n")
    lines = followed(tmp_path)
    assert next(lines).text == "a"
    node.prints(11.0, 1, "b\n")
    node.prints(12.0, 0, "c\n")
    assert texts(itertools.islice(lines, 2)) == [(1, "b"), (0, "c")]


def test_the_command(tmp_path, run):
    Node(tmp_path / "log", 2).prints(10.0, 1, "a\n")
    printed = run("logs", tmp_path)
    assert printed[0] == 0
    assert printed[1].endswith(" rank 1  a\n")


@pytest.mark.parametrize("name", ["missing", "empty"])
def test_a_folder_without_logs_is_named(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadRunFolder, match="has no logs of processes"):
        merged(tmp_path / name)
