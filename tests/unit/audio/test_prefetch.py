"""Sources are prefetched in threads."""

import subprocess
import sys
import threading
import time

import pytest

from pannsdist.audio.prefetch import MAX_ITEMS, MAX_SOURCES, THREADS, prefetch


def counting(number, length=3):
    return lambda: iter([(number, place) for place in range(length)])


def test_every_item_comes_in_order():
    starts = [counting(number, length=number % 4) for number in range(30)]
    items = [list(source) for source in prefetch(starts)]
    assert items == [[(number, place) for place in range(number % 4)] for number in range(30)]


def test_a_source_that_fails_raises_where_it_is_consumed_and_the_next_is_read():
    def failing():
        yield "first"
        raise ValueError("broken")

    items = []
    for source in prefetch([counting(0), failing, counting(2)]):
        try:
            items += list(source)
        except ValueError as error:
            items.append(str(error))
    assert items == [(0, 0), (0, 1), (0, 2), "broken", (2, 0), (2, 1), (2, 2)]


def test_no_more_is_read_than_the_limits_allow():
    made = []

    def endless():
        for place in range(10**9):
            made.append(place)
            yield place

    sources = prefetch([endless] * 100)
    next(iter(next(sources)))
    time.sleep(0.3)
    # Each thread holds one more item than waits in its queue; one was consumed.
    assert len(made) <= THREADS * (MAX_ITEMS + 1) + 1
    sources.close()


def test_no_source_is_started_long_before_it_is_consumed():
    started = []

    def start(number):
        def source():
            started.append(number)
            return iter([number])

        return source

    sources = prefetch(start(number) for number in range(100))
    list(next(sources))
    time.sleep(0.3)
    assert max(started) < MAX_SOURCES
    sources.close()


def test_closing_early_ends_the_threads():
    before = threading.active_count()
    sources = prefetch([lambda: iter(range(10**9))] * 5)
    next(iter(next(sources)))
    assert threading.active_count() > before
    sources.close()
    assert threading.active_count() == before


def test_there_may_be_no_source_at_all():
    assert list(prefetch([])) == []
    with pytest.raises(StopIteration):
        next(prefetch([]))


@pytest.mark.parametrize("error", [RuntimeError("broken"), SystemExit(3), KeyboardInterrupt()])
def test_whatever_a_source_raises_is_raised_where_it_is_consumed(error):
    def failing():
        yield "first"
        raise error

    items = prefetch([failing])
    with pytest.raises(type(error)):
        list(next(items))
    items.close()


ENDINGS = {
    "an exception holds the iterator": "raise RuntimeError('the forward pass failed')",
    "the user interrupts": "raise KeyboardInterrupt",
    "it is abandoned half way": "",
    "the program exits": "sys.exit(3)",
}
EXITING = """
import sys
from pannsdist.audio.prefetch import prefetch
KEPT = []
def run():
    sources = prefetch(lambda: iter(range(10**9)) for _ in range(20))
    items = iter(next(sources))
    next(items)
    KEPT.extend([sources, items])
    {ending}
run()
"""


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS)
def test_the_interpreter_exits_while_sources_are_being_read(ending):
    """The threads wait for room for the next item when it ends."""
    command = [sys.executable, "-c", EXITING.format(ending=ending)]
    try:
        subprocess.run(command, capture_output=True, timeout=60, check=False)
    except subprocess.TimeoutExpired:
        pytest.fail("still alive")
