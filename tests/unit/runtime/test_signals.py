"""SIGTERM and SIGINT are recorded as stop requests."""

import os
import signal
import subprocess
import sys
import textwrap
import threading

import pytest

from pannsdist.runtime import signals
from pannsdist.runtime.errors import EXIT_STOPPED


@pytest.mark.parametrize("number", signals.SIGNALS)
def test_a_signal_is_recorded_and_a_second_one_changes_nothing(number):
    with signals.stop_on_signals() as is_stop_requested:
        assert not is_stop_requested()
        os.kill(os.getpid(), number)
        assert is_stop_requested()
        os.kill(os.getpid(), number)
        assert is_stop_requested()


def test_afterwards_the_signals_are_what_they_were():
    before = [signal.getsignal(number) for number in signals.SIGNALS]
    with signals.stop_on_signals():
        assert [signal.getsignal(number) for number in signals.SIGNALS] != before
    assert [signal.getsignal(number) for number in signals.SIGNALS] == before


def test_in_a_call_the_handlers_are_restored_whatever_happens():
    before = [signal.getsignal(number) for number in signals.SIGNALS]
    with pytest.raises(ValueError, match="anything"), signals.stop_within_call() as is_stop_requested:
        os.kill(os.getpid(), signal.SIGTERM)
        assert is_stop_requested()
        raise ValueError("anything")
    assert [signal.getsignal(number) for number in signals.SIGNALS] == before


def test_another_thread_changes_no_handlers():
    before = [signal.getsignal(number) for number in signals.SIGNALS]
    found = []

    def work():
        with signals.stop_within_call() as is_stop_requested:
            found.extend([is_stop_requested(), [signal.getsignal(number) for number in signals.SIGNALS] == before])

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [False, True]


@pytest.mark.parametrize("first", [True, False])
def test_a_process_that_leaves_because_of_a_signal_or_an_error_is_not_cut_off_by_another(first):
    with pytest.raises(ValueError, match="anything"), signals.stop_on_signals():
        if first:
            os.kill(os.getpid(), signal.SIGTERM)
        raise ValueError("anything")
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGINT)  # no KeyboardInterrupt


def test_a_stopped_process_exits_with_its_own_code_and_prints_how_to_go_on_whatever_signals_still_come():
    code = """
        import atexit, os, signal, sys
        from pannsdist.runtime import signals, console
        from pannsdist.runtime.errors import Stopped

        sys.argv = ["train.py", "-c", "a b.yaml"]
        atexit.register(lambda: [os.kill(os.getpid(), number) for number in signals.SIGNALS])

        def work():
            with signals.stop_on_signals() as is_stop_requested:
                os.kill(os.getpid(), signal.SIGTERM)
                if is_stop_requested():
                    raise Stopped("stopped after step 3 of 9, as asked", "the same command goes on from there")

        sys.exit(console.exit_code(work))"""
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (EXIT_STOPPED, "")
    assert done.stdout.splitlines() == [
        "stopped after step 3 of 9, as asked",
        "  the same command goes on from there",
        "  next: python train.py -c 'a b.yaml'",
    ]
