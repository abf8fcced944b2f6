"""Processes that run at the same time, fail, are stopped, and are waited for."""

import errno
import fcntl
import os
import signal
import stat
import sys
from contextlib import ExitStack
from dataclasses import replace

import faulty_disk
import pytest

from pannsdist.run.launching.command import make_log_folder
from pannsdist.run.launching.job_pool import Job, JobPool
from pannsdist.runtime.errors import PeerLost

SAVES_AND_ENDS = """
import signal, sys, time
count = 0
def note(*_):
    global count
    count += 1
signal.signal(signal.SIGTERM, note)
print("ready", flush=True)
while not count:
    time.sleep(0.01)
time.sleep(0.3)
print(f"saved after {count} signal", flush=True)
sys.exit(75)
"""


class Noting:
    """Keeps what it is told, and does `at(name, log's text)` at each look."""

    def __init__(self, at=None):
        self.at, self.began_names, self.ends, self.running, self.most = at, [], {}, set(), 0

    def on_start(self, job):
        self.began_names.append(job.name)
        self.running.add(job.name)
        self.most = max(self.most, len(self.running))

    def on_poll(self, job):
        if self.at:
            self.at(job.name, job.log.read_text())

    def on_end(self, ended):
        self.running.remove(ended.job.name)
        self.ends[ended.job.name] = ended


@pytest.fixture
def jobs(tmp_path):
    def made(**scripts):
        return [
            Job(name, [sys.executable, "-c", script], tmp_path / "logs" / f"{name}.log")
            for name, script in scripts.items()
        ]

    return made


@pytest.fixture
def handle(tmp_path):
    with (tmp_path / "handle").open("w") as file:
        yield file.fileno()


def codes(watch):
    return {name: ended.exit_code for name, ended in watch.ends.items()}


def test_jobs_run_in_their_order_one_at_a_time(jobs, handle):
    watch = Noting()
    JobPool([{}], handle).run(jobs(b="print('first')", a="print('second')"), watch)
    assert watch.began_names == ["b", "a"]
    assert codes(watch) == {"a": 0, "b": 0}
    assert (watch.ends["b"].output, watch.most) == ("first\n", 1)


def test_as_many_run_at_the_same_time_as_there_are_slots_each_with_its_own(jobs, handle):
    script = "import os, time; time.sleep(0.5); print(os.environ['CUDA_VISIBLE_DEVICES'])"
    watch = Noting()
    slots = [{"CUDA_VISIBLE_DEVICES": "0"}, {"CUDA_VISIBLE_DEVICES": "2,3"}]
    JobPool(slots, handle).run(jobs(a=script, b=script, c=script), watch)
    assert watch.most == 2
    said = [ended.output for ended in watch.ends.values()]
    assert {"0\n", "2,3\n"} == set(said)
    assert len(said) == 3


def test_a_job_that_dies_of_a_signal_ends_with_the_code_that_a_shell_sees(jobs, handle):
    watch = Noting()
    JobPool([{}], handle).run(jobs(a="import os; os.kill(os.getpid(), 9)"), watch)
    assert codes(watch) == {"a": 137}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_reaches_every_job_once_and_the_others_are_not_started(jobs, handle, number):
    before = signal.getsignal(number)
    sent = []

    def stop(name, said):
        if "ready" in said and name == "b":
            sent.append(os.kill(os.getpid(), number))

    watch = Noting(stop)
    processes = JobPool([{}, {}], handle)
    processes.run(jobs(a=SAVES_AND_ENDS, b=SAVES_AND_ENDS, c="print('never')"), watch)
    assert len(sent) > 1, "a second signal does no harm"
    assert processes.stopping
    assert codes(watch) == {"a": 75, "b": 75}
    assert all("saved after 1 signal" in ended.output for ended in watch.ends.values())
    assert signal.getsignal(number) == before


def test_an_error_while_watching_stops_the_jobs_and_waits_for_them(jobs, handle):
    def fail(_, said):
        if "ready" in said:
            raise OSError("disk full")

    (job,) = jobs(a=SAVES_AND_ENDS)
    with pytest.raises(OSError, match="disk full"):
        JobPool([{}], handle).run([job], Noting(fail))
    assert "saved after 1 signal" in job.log.read_text()


def test_a_job_holds_the_lock_of_its_command_also_when_that_is_gone(jobs, tmp_path):
    (job,) = jobs(a=SAVES_AND_ENDS)
    path, outcomes = tmp_path / "lock", []
    lock = path.open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)

    def let_go(_, said):
        if "ready" in said and not lock.closed:
            lock.close()  # as if the command had been killed
            with path.open() as second, pytest.raises(BlockingIOError):
                fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
            outcomes.append("refused")
            processes.stop()

    processes = JobPool([{}], lock.fileno())
    processes.run([job], Noting(let_go))
    assert outcomes == ["refused"]
    with path.open() as second:
        fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_log_is_added_to_and_only_the_new_part_is_what_a_job_said(jobs, handle):
    for text in ("one", "two"):
        watch = Noting()
        (job,) = jobs(a=f"print({text!r})")
        JobPool([{}], handle).run([job], watch)
        assert watch.ends["a"].output == f"{text}\n"
    assert job.log.read_text() == "one\ntwo\n"


LAUNCHER = """
import json, os, sys
from pathlib import Path
folder = Path(sys.argv[1])
for rank, code in enumerate((75, 3)):
    (folder / f"exit_code.{rank}").write_text(str(code))
    error = {"type": "PeerLost", "wrong": f"of rank {rank}", "right": "right", "command": ""}
    (folder / f"error.{rank}").write_text(json.dumps(error))
print(oct(os.umask(0)), os.environ["PANNSDIST_UMASK"], os.environ["PANNSDIST_EXIT_CODES"], os.environ["MORE"])
sys.exit(75)
"""
"""Leaves what the launcher and two processes leave, of which the second has failed."""


def test_of_a_launcher_the_result_is_that_of_its_processes_and_its_logs_are_private(jobs, handle, tmp_path):
    private = tmp_path / "run" / "log"
    for _ in range(2):  # what an earlier start noted is not taken for the result
        (job,) = jobs(a="")
        command = [sys.executable, "-c", LAUNCHER, str(private)]
        watch = Noting()
        JobPool([{}], handle).run(
            [replace(job, command=command, private=private, processes=2, environment={"MORE": "1"})], watch
        )
    result = watch.ends["a"]
    assert result.output == f"0o77 {umask():o} {private} 1\n"
    assert (result.exit_code, result.culprit.rank) == (3, 1)
    assert (type(result.noted), result.noted.wrong) == (PeerLost, "of rank 0")
    wanted = ["the process of rank 1 ended with exit code 3", "rank 1: of rank 1", "rank 1:   right"]
    assert result.message.splitlines() == wanted
    assert stat.S_IMODE(private.stat().st_mode) == 0o700


def test_a_link_to_the_logs_of_a_run_that_was_started_by_hand_is_replaced_and_its_target_left(tmp_path):
    target = tmp_path / "elsewhere"
    target.mkdir(mode=0o755)
    (tmp_path / "log").symlink_to("elsewhere")
    make_log_folder(tmp_path / "log")
    assert not (tmp_path / "log").is_symlink()
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("log", "elsewhere")] == [0o700, 0o755]


def umask():
    found = os.umask(0o022)
    os.umask(found)
    return found


def test_the_end_of_a_job_is_known_although_its_log_cannot_be_read(tmp_path):
    class Failing(Noting):
        """The log cannot be read from the start of the job on."""

        def on_start(self, job):
            super().on_start(job)
            faults.enter_context(faulty_disk.failing("a.log", errno.EACCES))

    noting = Failing()
    job = Job("a", [sys.executable, "-c", "raise SystemExit(2)"], tmp_path / "a.log")
    with ExitStack() as faults:
        JobPool([{}]).run([job], noting)
    assert noting.ends["a"].exit_code == 2
    assert noting.ends["a"].message.startswith(f"{tmp_path}/a.log cannot be read: Permission denied")
