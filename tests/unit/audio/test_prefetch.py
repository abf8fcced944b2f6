"""Sources are prefetched in threads."""

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
