"""Each check of a tracker sees the fault that it is there for, and a tracker without fault passes all of them."""

import pytest
from small_parts import install

from pannsdist.devkit import Subject, Verdict, checks_of, judge
from pannsdist.registry import Catalog

pytestmark = pytest.mark.any_paddle
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
        outcome = judge(check, checked)
        assert outcome.verdict is Verdict.OK, (check.name, outcome.reason)


@pytest.mark.parametrize(
    ("fault", "check", "said"),
    [
        ("look", "it_says_what_to_type_to_look_at_a_run", "look is None"),
        ("needs predictions", "it_takes_every_report_of_a_run", "AttributeError: 'NoneType'"),
        ("steps", "it_takes_every_report_of_a_run", "OSError: the server is gone (faulty_trackers.py"),
        ("open", "it_takes_every_report_of_a_run", "ZeroDivisionError: division by zero"),
        ("not finite", "a_value_that_is_no_number_does_no_harm", "ValueError: Out of range float values"),
        ("twice", "going_on_from_one_step_again_and_again_tells_nothing_twice", "after it went on for 3 times"),
        (TOGETHER, "it_writes_only_below_the_folder_of_the_run", "/elsewhere/lines.jsonl"),
        (TOGETHER, "at_its_defaults_nothing_leaves_the_machine", "it asks for 192.0.2.1"),
        (TOGETHER, "the_run_is_as_if_nobody_watched", "thread left behind"),
        (TOGETHER, "the_run_is_as_if_nobody_watched", "after close: process "),
        (STATES, "the_run_is_as_if_nobody_watched", "the handler of SIGTERM is another"),
        (STATES, "the_run_is_as_if_nobody_watched", "the state of `random` is another"),
    ],
)
def test_a_fault_of_a_tracker_is_seen_and_named(subject, fault, check, said):
    (chosen,) = (each for each in checks_of("tracker") if each.name == check)
    outcome = judge(chosen, subject(fault=fault))
    assert outcome.verdict is Verdict.FAIL, outcome.reason
    assert said in outcome.reason
