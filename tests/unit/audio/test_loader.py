"""Workers read ahead, and nothing that happens in them is lost."""

import signal
import subprocess
import sys
import threading
import time
from contextlib import closing, suppress
from dataclasses import fields
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest
from small_parts import tone_clips
from worker_tasks import Deadly, Exploding

from pannsdist.audio.batches import ClipTable, EvaluationPlan, Shard, TrainingPlan, clip_table
from pannsdist.audio.clip_reader import ClipReader
from pannsdist.audio.loader import Loader
from pannsdist.audio.mixup import Mixup
from pannsdist.contracts import Clip
from pannsdist.contracts.batch import Batch
from pannsdist.runtime.errors import BadClip, WorkerDied

READER = ClipReader(8000, 800)


def evaluation(clips, batch_size=2, skip_bad=False):
    return EvaluationPlan(ClipTable(clips, np.zeros(len(clips), np.int64)), batch_size, READER, skip_bad)


def read(requests, workers):
    loader = Loader(workers)
    try:
        return list(loader.read(requests))
    finally:
        loader.close()


def workers():
    """The processes that this one has started for loaders, and that have not ended."""
    found = []
    for child in psutil.Process().children():
        with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            found += [child] if any(word.endswith("workers/boot.py") for word in child.cmdline()) else []
    return found


@pytest.fixture(scope="module")
def loader():
    with closing(Loader(2)) as one:
        yield one


def sound(source):
    return [*tone_clips(3), Clip("odd", source, ("high",))]


def test_workers_read_the_same_bytes_as_none_do():
    plan = TrainingPlan(clip_table(tone_clips(40), ("high", "low"), False), 4, 3, READER)
    alone, helped = (read(plan.requests(2, Shard(0, 2)), workers) for workers in (0, 2))
    assert [batch.ids for batch in alone] == [batch.ids for batch in helped]
    assert len(alone) == 10
    for one, other in zip(alone, helped, strict=True):
        assert one.waveforms.tobytes() == other.waveforms.tobytes()
        assert one.targets.tobytes() == other.targets.tobytes()


def test_workers_serve_one_pass_after_another():
    loader = Loader(2)
    try:
        passes = [list(loader.read(evaluation(tone_clips(6)).requests(Shard(0, 1)))) for _ in range(2)]
    finally:
        loader.close()
    assert [batch.ids for batch in passes[0]] == [batch.ids for batch in passes[1]]


def test_a_pass_may_be_left_early():
    loader = Loader(2)
    try:
        batches = loader.read(evaluation(tone_clips(30)).requests(Shard(0, 1)))
        assert next(batches).ids == ("clip000", "clip001")
        batches.close()
        assert len(list(loader.read(evaluation(tone_clips(4)).requests(Shard(0, 1))))) == 2
    finally:
        loader.close()


def test_a_loader_that_read_nothing_closes():
    before = psutil.Process().children()
    Loader(2).close()
    assert psutil.Process().children() == before


@pytest.mark.parametrize("workers", [0, 2])
def test_a_bad_clip_arrives_by_id_and_path(tmp_path, workers):
    with pytest.raises(BadClip) as caught:
        read(evaluation(sound(tmp_path / "absent.wav")).requests(Shard(0, 1)), workers)
    assert caught.value.wrong == f"clip 'odd' ({tmp_path}/absent.wav): there is no such file"
    assert "data.on_bad_clip=skip" in caught.value.right


@pytest.mark.parametrize("workers", [0, 2])
def test_skipped_clips_are_counted(tmp_path, workers):
    batches = read(evaluation(sound(tmp_path / "absent.wav"), skip_bad=True).requests(Shard(0, 1)), workers)
    assert [len(batch.ids) for batch in batches] == [2, 1]
    assert [len(batch.bad) for batch in batches] == [0, 1]
    assert isinstance(batches[1].bad[0], BadClip)


def test_a_mistake_in_a_sound_arrives_with_its_traceback():
    with pytest.raises(ZeroDivisionError, match="a mistake in a plugin") as caught:
        read(evaluation(sound(Exploding())).requests(Shard(0, 1)), 2)
    assert "_explode" in str(caught.value.__cause__)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_no_worker_however_young(number):
    stop, met = threading.Event(), set()
    others = set(psutil.Process().children())  # of tests before: a server, for one

    def signal_children():
        while not stop.is_set():
            for child in set(psutil.Process().children()) - others:
                with suppress(psutil.NoSuchProcess):
                    child.send_signal(number)
                    met.add(child.pid)

    thread = threading.Thread(target=signal_children)
    thread.start()
    try:
        batches = read(evaluation(tone_clips(8)).requests(Shard(0, 1)), 2)
    finally:
        stop.set()
        thread.join()
    assert [len(batch.ids) for batch in batches] == [2, 2, 2, 2]
    assert len(met) >= 2


def test_the_first_workers_of_a_process_hold_both_signals_back_too():
    """In a Python of its own: what starts with the first worker of a process has begun here already."""
    code = """
import functools, signal
from pannsdist.audio.loader import Loader
from pannsdist.audio.mixup import Mixup
if __name__ == "__main__":
    loader = Loader(2)
    masks = list(loader.map(functools.partial(signal.pthread_sigmask, signal.SIG_BLOCK), [()] * 4))
    loader.close()
    print(all({signal.SIGINT, signal.SIGTERM} <= mask for mask in masks), len(masks))"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "True 4\n", done.stderr


def test_a_worker_that_dies_ends_the_reading_and_does_not_hang():
    before = time.monotonic()
    with pytest.raises(WorkerDied, match="a worker process that reads clips has ended"):
        read(evaluation(sound(Deadly())).requests(Shard(0, 1)), 2)
    assert time.monotonic() - before < 30


def test_workers_that_were_started_early_read_the_first_batch():
    loader = Loader(2)
    try:
        loader.start()
        started = workers()
        batches = list(loader.read(evaluation(tone_clips(4)).requests(Shard(0, 1))))
        assert workers() == started and len(started) == 2
    finally:
        loader.close()
    assert [batch.ids for batch in batches] == [("clip000", "clip001"), ("clip002", "clip003")]


def test_without_workers_nothing_starts():
    before = psutil.Process().children()
    Loader(0).start()
    assert psutil.Process().children() == before


def test_a_worker_that_dies_between_two_passes_ends_the_next_ones():
    loader = Loader(2)
    try:
        list(loader.read(evaluation(tone_clips(4)).requests(Shard(0, 1))))
        for process in workers():
            process.kill()
        for _ in range(2):  # the first may meet it at work, the second knows of it
            with pytest.raises(WorkerDied, match="a worker process that reads clips has ended"):
                list(loader.read(evaluation(tone_clips(60)).requests(Shard(0, 1))))
    finally:
        loader.close()


def test_a_loader_closes_while_its_workers_are_stuck():
    """As on a network file system that is gone, after an exception whose traceback keeps the iterator."""
    code = """
import time
from pannsdist.audio.loader import Loader
from pannsdist.audio.mixup import Mixup
if __name__ == "__main__":
    loader = Loader(2)
    try:
        results = loader.map(time.sleep, [0] * 2 + [3600] * 6)
        next(results)
        raise KeyError("the forward pass failed")
    finally:
        loader.close()"""
    try:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    except subprocess.TimeoutExpired:
        pytest.fail("still alive")
    assert done.stderr.rstrip().endswith("KeyError: 'the forward pass failed'"), done.stderr


LABELS = ("high", "low")


def mixed(pairs, domain):
    table = clip_table([*tone_clips(40), *ABSENT], LABELS, False)
    return TrainingPlan(table, 8, 3, READER, True, mixup=Mixup(1.0, pairs, domain, 2)).requests(1, Shard(0, 1))


def grouped():
    """Batches of three lengths, the longest of them larger than the memory at first."""
    clips = [clip for seconds in (0.1, 0.5, 60.0) for clip in tone_clips(4, seconds)]
    for at, samples in zip((0, 4, 8), (800, 4000, 480000), strict=True):
        reader = ClipReader(8000, samples)
        rows = ClipTable(clips[at : at + 4], np.zeros(4, np.int64))
        yield from EvaluationPlan(rows, 2, reader).requests(Shard(0, 1))


ABSENT = [Clip(f"absent{n}", Path(f"/absent/{n}.wav"), ("high",)) for n in range(8)]
REQUESTS = {
    **{
        f"{pairs} {domain}": partial(mixed, pairs, domain)
        for pairs in ("panns", "free")
        for domain in ("features", "waveform")
    },
    "of several lengths": grouped,
    "bad clips alone": lambda: evaluation(ABSENT, skip_bad=True).requests(Shard(0, 1)),
}


@pytest.mark.parametrize("kind", REQUESTS)
def test_batches_of_every_kind_are_the_same_with_and_without_workers(kind, loader):
    alone, helped = list(Loader(0).read(REQUESTS[kind]())), list(loader.read(REQUESTS[kind]()))
    assert len(alone) > 1
    for one, other in zip(alone, helped, strict=True):
        for name in [field.name for field in fields(Batch)]:
            expected, found = getattr(one, name), getattr(other, name)
            if isinstance(expected, np.ndarray):
                assert (found.dtype, found.shape, found.tobytes()) == (
                    expected.dtype,
                    expected.shape,
                    expected.tobytes(),
                )
            elif name == "bad":
                assert [str(error) for error in found] == [str(error) for error in expected]
            else:
                assert found == expected
