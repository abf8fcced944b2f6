"""Background writes: in order, one at a time, and no error is lost."""

import threading

import pytest

from pannsdist.training.background import BackgroundWriter


def test_a_job_runs_in_the_background():
    background, go, done = BackgroundWriter(), threading.Event(), []
    background.submit(lambda: (go.wait(60), done.append(1)))
    assert (background.is_busy, done) == (True, [])
    go.set()
    background.wait()
    assert (background.is_busy, done) == (False, [1])


def test_jobs_run_in_order_and_one_at_a_time():
    background, under_way, seen = BackgroundWriter(), [], []

    def job(number):
        under_way.append(number)
        seen.append(list(under_way))
        under_way.remove(number)

    for number in range(5):
        background.submit(lambda number=number: job(number))
    background.wait()
    assert seen == [[0], [1], [2], [3], [4]]


def fail():
    raise OSError(28, "No space left on device")


def test_an_error_is_visible_without_waiting_and_raised_once():
    background = BackgroundWriter()
    background.submit(fail)
    background._thread.join()
    assert background.failed
    with pytest.raises(OSError, match="No space left"):
        background.wait()
    assert not background.failed
    background.wait()


def test_a_job_is_not_started_after_a_failed_one():
    background, done = BackgroundWriter(), []
    background.submit(fail)
    with pytest.raises(OSError, match="No space left"):
        background.submit(lambda: done.append(1))
    background.wait()
    assert done == []


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt()])
def test_no_kind_of_error_is_lost(error):
    def leave():
        raise error

    background = BackgroundWriter()
    background.submit(leave)
    with pytest.raises(type(error)):
        background.wait()
