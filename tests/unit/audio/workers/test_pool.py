"""The memory of results: read without a copy, reused when nothing refers to it any more, never earlier."""

import gc
import os
import signal
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path

import paddle
import psutil
import pytest
from worker_tasks import fail, filled, process_id

from pannsdist.audio.loader import Loader
from pannsdist.audio.workers.pool import HELD_SLOTS, WorkerPool
from pannsdist.runtime.errors import UserError, WorkerDied


@pytest.fixture(scope="module")
def loader():
    with closing(Loader(2, filled)) as one:
        yield one


def is_shared(array):
    """Whether an array lies in the memory of the workers, as the kernel knows it."""
    address = array.__array_interface__["data"][0]
    for line in Path("/proc/self/maps").read_text().splitlines():
        first, end = (int(word, 16) for word in line.split()[0].split("-"))
        if first <= address < end:
            return "memfd:pannsdist-batches" in line
    return False


def test_waveforms_are_read_where_the_worker_wrote_them(loader):
    addresses = set()
    for number, batch in enumerate(loader.read(range(40))):
        assert is_shared(batch.waveforms) and not is_shared(batch.targets)
        assert batch.ids[0] == str(number) and (batch.waveforms == number).all()
        addresses.add(batch.waveforms.__array_interface__["data"][0])
    assert len(addresses) <= 2 * (2 * 3 + 2)  # slots in flight, and in use; each may have grown once


def test_batches_that_are_kept_stay_as_they_are(loader):
    kept = list(loader.read(range(20)))
    part = next(loader.read([50])).waveforms[1, 5:9]
    assert [int(batch.waveforms.max()) for batch in kept] == list(range(20))
    assert sum(is_shared(batch.waveforms) for batch in kept) == HELD_SLOTS
    del kept
    list(loader.read(range(20)))
    assert part.tolist() == [50.0] * 4


def test_small_arrays_that_are_kept_keep_no_memory(loader):
    targets = []
    for batch in loader.read(range(20)):
        assert is_shared(batch.waveforms)
        targets.append(batch.targets)
    assert [int(one[0]) for one in targets] == list(range(20))


def test_a_tensor_outlives_its_batch_whether_paddle_copies_or_not(loader):
    """`paddle.to_tensor` copies; a tensor without a copy keeps the array, and so the memory."""
    first, second = list(loader.read([1, 2]))
    copied = paddle.to_tensor(first.waveforms)
    first.waveforms[:] = 7
    assert float(copied.max()) == 1.0
    place = paddle.CPUPlace()
    without_copy = paddle.base.core.eager.Tensor(value=second.waveforms, place=place, zero_copy=True)
    second.waveforms[:] = 3
    del first, second
    gc.collect()
    assert len(list(loader.read(range(20)))) == 20
    assert float(without_copy.max()) in (2.0, 3.0) and float(without_copy.min()) == float(without_copy.max())


def test_passes_over_one_loader_may_be_interleaved_and_left(loader):
    one, other = loader.read(range(100, 120)), loader.read(range(200, 220))
    found = [(next(one).ids[0], next(other).ids[0]) for _ in range(5)]
    assert found == [(str(100 + n), str(200 + n)) for n in range(5)]
    one.close()
    assert [batch.ids[0] for batch in other] == [str(n) for n in range(205, 220)]


def test_a_pass_that_is_left_does_not_delay_the_next_one(loader):
    waiting = loader.map(time.sleep, [0] + [1] * 20)
    next(waiting)
    waiting.close()
    before = time.monotonic()
    assert next(loader.read([5])).ids[0] == "5"
    assert time.monotonic() - before < 2.5  # two that had begun; the others were taken back


def test_an_error_that_cannot_be_pickled_says_the_same(loader):
    with pytest.raises(RuntimeError, match="StubbornError: this and that"):
        list(loader.map(fail, [0]))


def test_two_loaders_have_workers_of_their_own(loader):
    with closing(Loader(1, filled)) as other:
        pairs = zip(loader.read(range(9)), other.read(range(9, 18)), strict=True)
        assert [(a.ids[0], b.ids[0]) for a, b in pairs] == [(str(n), str(n + 9)) for n in range(9)]
    assert next(loader.read([3])).ids[0] == "3"


def test_batches_stay_after_the_loader_is_closed():
    with closing(Loader(1, filled)) as one:
        batches = one.read([4, 5, 6])
        batch = next(batches)
    assert (batch.waveforms == 4).all()
    batches.close()


def test_a_worker_that_is_killed_in_the_middle_of_a_batch_ends_the_pass():
    with closing(Loader(2, filled)) as one:
        pids = list(one.map(process_id, range(8)))
        results = one.map(time.sleep, [0, 0, 600, 600])
        next(results)
        os.kill(pids[0], signal.SIGKILL)
        with pytest.raises(WorkerDied, match="a worker process that reads clips has ended"):
            list(results)


SCRIPT = """
import os, time
from dataclasses import dataclass
import numpy as np
import psutil
from pannsdist.audio.batches import ClipTable, EvaluationPlan, Shard
from pannsdist.audio.clip_reader import ClipReader
from pannsdist.audio.loader import Loader
from pannsdist.contracts import Clip

@dataclass(frozen=True)
class Cell:  # defined where no worker can import it
    level: float
    def samples(self):
        return np.full(800, self.level, np.float32), 8000

clips = [Clip(str(n), Cell(n / 100), ()) for n in range(9)]
plan = EvaluationPlan(ClipTable(clips, np.zeros(9, np.int64)), 2, ClipReader(8000, 800))
def levels(loader):
    return [round(float(w.max()), 2) for batch in loader.read(plan.requests(Shard(0, 1))) for w in batch.waveforms]
loader = Loader(2)
before = levels(loader)
child = os.fork()
if child == 0:
    found = levels(loader)
    loader.close()
    os._exit(0 if found == before else 1)
assert os.waitpid(child, 0)[1] == 0
assert levels(loader) == before == [n / 100 for n in range(9)]
stuck = loader.map(time.sleep, [0] * 2 + [3600] * 6)
next(stuck)
print(*(child.pid for child in psutil.Process().children()), flush=True)
time.sleep(3600)
"""


def test_a_notebook_a_fork_and_a_process_that_is_killed_leave_nothing_behind():
    """Sounds whose class only the process knows; a fork has workers of its own; workers in the middle of a file end."""
    command = [sys.executable, "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        process.stdin.write(SCRIPT)
        process.stdin.close()
        pids = [int(word) for word in process.stdout.readline().split()]
        process.kill()
    assert len(pids) == 2
    workers = []
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            workers.append(psutil.Process(pid))
    assert psutil.wait_procs(workers, timeout=30)[1] == []
    assert not list(Path("/dev/shm").glob("*pannsdist*"))


def test_no_room_for_a_batch_is_an_error_of_this_process(loader):
    with pytest.raises(UserError, match=r"no room for a batch of .* MiB in the memory that workers share"):
        list(loader.read([1 << 33]))
    assert next(loader.read([3])).ids[0] == "3"


def test_a_pool_that_nobody_closes_ends_with_its_last_reference_but_not_in_a_fork():
    pool = WorkerPool(2, os.getpid)
    workers = [worker.pid for worker in pool._workers.values()]
    if (child := os.fork()) == 0:
        del pool
        gc.collect()
        os._exit(0)
    os.waitpid(child, 0)
    assert all(psutil.pid_exists(pid) for pid in workers)
    number = pool.submit(os.getpid, ())
    assert pool.result(number) in workers
    del pool
    gc.collect()
    assert not any(psutil.pid_exists(pid) for pid in workers), "killed and waited for"
