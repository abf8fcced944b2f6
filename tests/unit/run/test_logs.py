"""`pannsdist logs`: the logs of all processes as one, in the order of time."""

import itertools
import subprocess
import sys
import tracemalloc
from contextlib import contextmanager

import pytest

from pannsdist.run import logs, process_log
from pannsdist.run.launching.job_pool import Job, JobPool
from pannsdist.run.launching.log_times import LogTimes
from pannsdist.run.logs import followed, merged
from pannsdist.runtime.errors import BadRunFolder, UserError


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
    node.prints(14.0, 0, " and more\nits last words")
    lines = [(0, "a"), (0, "b"), (1, "c"), (1, "e"), (0, "d and more"), (0, "its last words")]
    assert texts(merged(tmp_path)) == lines
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


HOLD = """
import sys
from pathlib import Path
from pannsdist.runtime.folder_lock import FolderLock
lock = FolderLock.acquire(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def held(folder):
    """Context in which another process has the folder."""
    command = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        yield


@pytest.mark.parametrize("holder", ["", "log"])
def test_what_is_added_follows_until_neither_the_run_nor_its_logs_are_held(tmp_path, monkeypatch, holder):
    monkeypatch.setattr(logs, "FOLLOW_S", 0.01)
    node = Node(tmp_path / "log", 2)
    node.prints(10.0, 0, "a\n")
    with held(tmp_path / holder):
        lines = followed(tmp_path)
        assert next(lines).text == "a"
        node.prints(11.0, 1, "b\n")
        node.prints(12.0, 0, "c\nnot complete")
        assert texts(itertools.islice(lines, 2)) == [(1, "b"), (0, "c")]
    assert texts(lines) == [(0, "not complete")]


PRINT = """
import sys, time
from pathlib import Path
log, seen = map(Path, sys.argv[1:])
log.write_text("first\\n")
while not seen.exists():
    time.sleep(0.05)
with log.open("a") as file:
    file.write("last\\n")
"""


class Follower:
    """Follows a job, and lets it go on when its first line has arrived."""

    def __init__(self, run, seen):
        self.run, self.seen, self.printed = run, seen, run / "printed"

    def on_start(self, _):
        with self.printed.open("w") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "pannsdist", "logs", str(self.run), "--follow"], stdout=file, stderr=file
            )

    def on_poll(self, _):
        if "first" in self.printed.read_text():
            self.seen.touch()

    def on_end(self, _):
        assert self.process.wait() == 0, self.printed.read_text()


def test_a_job_is_followed_to_its_end(tmp_path):
    folder, seen = tmp_path / "log", tmp_path / "seen"
    command = [sys.executable, "-c", PRINT, str(folder / "workerlog.0"), str(seen)]
    follower = Follower(tmp_path, seen)
    JobPool([{}]).run([Job("run", command, folder / "launcher.log", folder)], follower)
    assert [line[8:] for line in follower.printed.read_text().splitlines()] == [" rank 0  first", " rank 0  last"]


def test_of_a_run_that_has_ended_nothing_follows(tmp_path):
    Node(tmp_path / "log", 1).prints(10.0, 0, "a\nb")
    assert texts(followed(tmp_path)) == [(0, "a"), (0, "b")]


@pytest.mark.parametrize("tail", [1, 2, 3, 9])
def test_the_last_lines_alone(tmp_path, monkeypatch, tail):
    monkeypatch.setattr(process_log, "BLOCK", 3)
    node = Node(tmp_path / "log", 2)
    for number, text in enumerate(("a\n", "bbbbbb\n", "c\n", "d\nd\n", "e")):
        node.prints(10.0 + number, number % 2, text)
    everything = texts(merged(tmp_path))
    assert everything == [(0, "a"), (1, "bbbbbb"), (0, "c"), (1, "d"), (1, "d"), (0, "e")]
    assert texts(merged(tmp_path, tail=tail)) == everything[-tail:]
    assert texts(merged(tmp_path, rank=0, tail=tail)) == [line for line in everything if line[0] == 0][-tail:]


def test_a_line_without_end_is_shown_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(process_log, "LONGEST_LINE", 3)
    monkeypatch.setattr(process_log, "BLOCK", 2)
    Node(tmp_path / "log", 1).prints(10.0, 0, "abcdefg")
    assert texts(merged(tmp_path)) == [(0, "abcd"), (0, "efg")]


def test_memory_is_bounded(tmp_path):
    node = Node(tmp_path / "log", 2)
    for number in range(2):
        node.prints(10.0 + number, number, f"{'x' * 99}\n" * 100_000)
    tracemalloc.start()
    try:
        assert sum(1 for _ in merged(tmp_path)) == 200_000
        assert tracemalloc.get_traced_memory()[1] < 2e6
    finally:
        tracemalloc.stop()


def test_a_process_that_had_two_ranks_keeps_both(tmp_path):
    node = Node(tmp_path / "log" / "node-10.0.0.2", 1, first=1)
    node.prints(10.0, 0, "a\n")
    node.times = LogTimes(tmp_path / "log" / "node-10.0.0.2", node.logs, 2)
    node.prints(11.0, 0, "b\n")
    assert texts(merged(tmp_path)) == [(1, "a"), (2, "b")]
    assert texts(merged(tmp_path, rank=1, tail=1)) == [(1, "a")]


def test_an_unknown_rank_is_refused_with_those_that_are_there(tmp_path):
    node = Node(tmp_path / "log", 2)
    node.prints(10.0, 0, "a\n")
    node.prints(11.0, 1, "b\n")
    with pytest.raises(UserError, match=r"no log of rank 2\n  ranks: 0, 1"):
        merged(tmp_path, rank=2)


def test_a_full_disk_loses_the_times_alone(tmp_path):
    node = Node(tmp_path / "log", 1)
    (tmp_path / "log" / "times.jsonl").mkdir()
    node.prints(10.0, 0, "a\n")
    assert texts(merged(tmp_path)) == [(0, "a")]


def test_the_command(tmp_path, run):
    Node(tmp_path / "log", 2).prints(10.0, 1, "a\n")
    printed = run("logs", tmp_path)
    assert printed[0] == 0
    assert printed[1].endswith(" rank 1  a\n")


@pytest.mark.parametrize("name", ["missing", "empty"])
def test_a_folder_that_is_no_run_is_refused(tmp_path, name):
    (tmp_path / "empty").mkdir()
    for read in (merged, lambda folder: list(followed(folder))):
        with pytest.raises(BadRunFolder, match="is not a run folder"):
            read(tmp_path / name)


def test_a_run_without_logs_is_refused(tmp_path):
    for name in ("settings.yaml", "labels.json"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(UserError, match="has no logs of processes"):
        merged(tmp_path)
