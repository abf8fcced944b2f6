"""Makes `small_parts` importable, and leaves signals as they were."""

import signal

import pytest


@pytest.fixture(autouse=True)
def _signals_are_left_alone():
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    yield
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
