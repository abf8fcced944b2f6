"""Each check of a tracker sees the fault that it is there for, and a tracker without fault passes all of them."""

import pytest
from small_parts import install

from pannsdist.devkit import Subject, Verdict, checks_of, run_check
from pannsdist.registry import Catalog

pytestmark = [pytest.mark.any_paddle, pytest.mark.slow]
TOGETHER, STATES = "elsewhere+asks+thread+process", "signal+random"
"""Faults that are seen from one process, which is started once for them: a check names no more than three things."""


@pytest.fixture
def subject(tmp_path, monkeypatch):
    install(tmp_path / "site", "faulty-trackers", "[pannsdist.trackers]\nfaulty = faulty_trackers:FaultyTracker\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))

    def of(**given):
        catalog = Catalog.installed()
        return Subject(catalog.trackers.find("faulty"), given, catalog)

    return of


def test_a_tracker_without_fault_passes_every_check(subject):
    checked = subject()
    for check in checks_of("tracker"):
        outcome = run_check(check, checked)
        assert outcome.verdict is Verdict.OK, (check.name, outcome.reason)


@pytest.mark.parametrize(
    ("fault", "check", "said"),
    [
        ("look", "its_view_command_is_a_text", "look is None"),
        ("needs predictions", "it_accepts_every_report_of_a_run", "AttributeError: 'NoneType'"),
        ("steps", "it_accepts_every_report_of_a_run", "OSError: the server is gone (faulty_trackers.py"),
        ("open", "it_accepts_every_report_of_a_run", "ZeroDivisionError: division by zero"),
        ("not finite", "nan_and_infinite_values_are_accepted", "ValueError: Out of range float values"),
        ("twice", "resuming_repeatedly_writes_no_duplicates", "after resuming 3 times"),
        (TOGETHER, "it_writes_only_inside_the_run_folder", "/elsewhere/lines.jsonl"),
        (TOGETHER, "with_default_params_it_opens_no_connection", "it connects to 192.0.2.1"),
        (TOGETHER, "it_leaves_no_threads_processes_or_changed_state", "thread left behind"),
        (TOGETHER, "it_leaves_no_threads_processes_or_changed_state", "after close: process "),
        (STATES, "it_leaves_no_threads_processes_or_changed_state", "the handler of SIGTERM has changed"),
        (STATES, "it_leaves_no_threads_processes_or_changed_state", "the state of `random` has changed"),
    ],
)
def test_a_fault_of_a_tracker_is_seen_and_named(subject, fault, check, said):
    (chosen,) = (each for each in checks_of("tracker") if each.name == check)
    outcome = run_check(chosen, subject(fault=fault))
    assert outcome.verdict is Verdict.FAIL, outcome.reason
    assert said in outcome.reason
