"""Sources that are read ahead in threads."""

import threading
import time

import pytest

from pannsdist.audio.prefetch import ITEMS_AHEAD, SOURCES_AHEAD, THREADS, ahead


def counting(number, length=3):
    return lambda: iter([(number, place) for place in range(length)])


def test_every_item_comes_in_order():
    starts = [counting(number, length=number % 4) for number in range(30)]
    heard = [list(source) for source in ahead(starts)]
    assert heard == [[(number, place) for place in range(number % 4)] for number in range(30)]


def test_a_source_that_fails_raises_where_it_is_heard_and_the_next_is_heard():
    def failing():
        yield "first"
        raise ValueError("broken")

    heard = []
    for source in ahead([counting(0), failing, counting(2)]):
        try:
            heard += list(source)
        except ValueError as error:
            heard.append(str(error))
    assert heard == [(0, 0), (0, 1), (0, 2), "broken", (2, 0), (2, 1), (2, 2)]


def test_no_more_is_read_than_the_limits_allow():
    made = []

    def endless():
        for place in range(10**9):
            made.append(place)
            yield place

    sources = ahead([endless] * 100)
    next(iter(next(sources)))
    time.sleep(0.3)
    # Each thread holds one more item than waits in its queue; one was heard.
    assert len(made) <= THREADS * (ITEMS_AHEAD + 1) + 1
    sources.close()


def test_no_source_is_begun_long_before_it_is_heard():
    begun = []

    def start(number):
        def source():
            begun.append(number)
            return iter([number])

        return source

    sources = ahead(start(number) for number in range(100))
    list(next(sources))
    time.sleep(0.3)
    assert max(begun) < SOURCES_AHEAD
    sources.close()


def test_closing_early_ends_the_threads():
    before = threading.active_count()
    sources = ahead([lambda: iter(range(10**9))] * 5)
    next(iter(next(sources)))
    assert threading.active_count() > before
    sources.close()
    assert threading.active_count() == before


def test_there_may_be_no_source_at_all():
    assert list(ahead([])) == []
    with pytest.raises(StopIteration):
        next(ahead([]))
