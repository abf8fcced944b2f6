"""Trackers that are plugins: all open or none, and one that fails later is named and given up."""

import pytest
from faulty_trackers import FaultyTracker
from small_parts import Origin

from pannsdist.devkit.fake_run import reports, send_reports, tracked_run
from pannsdist.registry import Entry
from pannsdist.registry.building import Part
from pannsdist.run.trackers import open_trackers
from pannsdist.runtime.errors import BrokenPlugin, UserError


def part(fault=""):
    entry = Entry("tracker", "faulty", Origin("faulty-trackers", "1.0"), "faulty_trackers:FaultyTracker")
    params = FaultyTracker.Params(fault)
    return Part(entry, params, FaultyTracker(params))


def steps_of(folder):
    lines = (folder / "lines.jsonl").read_text(encoding="utf-8").splitlines()
    return [int(line.split(",")[0].removeprefix('{"step": ')) for line in lines if "train/loss" in line]


def test_a_tracker_is_told_of_everything_and_says_where_to_look(tmp_path):
    with open_trackers([part()], tracked_run(tmp_path)) as (tracker,):
        send_reports(tracker, reports(epochs=1))
    assert steps_of(tmp_path) == [2, 4]
    assert tracker.summary_line(tmp_path) == f"        cat {tmp_path}/lines.jsonl"


def test_a_tracker_that_fails_is_named_and_the_others_are_told_on(tmp_path, capsys):
    with open_trackers([part("steps"), part()], tracked_run(tmp_path)) as trackers:
        for report in reports(epochs=2):
            for tracker in trackers:
                send_reports(tracker, [report])
    said = capsys.readouterr().out
    named = "tracker faulty (faulty-trackers 1.0) failed at step 4: OSError: the server is gone (faulty_trackers.py:"
    assert said.count(named) == 1
    assert "it is disabled, and the run continues" in said
    assert {4, 6, 8} <= set(steps_of(tmp_path))
    line = trackers[0].summary_line(tmp_path)
    assert line.startswith("  faulty (faulty-trackers 1.0) failed at step 4: OSError")
    assert line.endswith(f"later scores are in {tmp_path}/scores.jsonl")


def test_a_tracker_that_cannot_be_opened_stops_the_run_and_names_its_distribution(tmp_path):
    with (
        pytest.raises(
            BrokenPlugin, match=r"'faulty' of faulty-trackers 1.0 cannot be opened: ZeroDivisionError"
        ) as told,
        open_trackers([part("open")], tracked_run(tmp_path)),
    ):
        pass
    assert "trackers.faulty=null disables it" in str(told.value)


def test_what_the_user_can_mend_is_said_as_it_is_and_what_was_open_is_closed(tmp_path):
    first = part()
    opened = []
    first.plugin.open = lambda run: opened.append(FaultyTracker(FaultyTracker.Params()).open(run)) or opened[0]
    with (
        pytest.raises(UserError, match=r"^nothing to write with is installed"),
        open_trackers([first, part("missing")], tracked_run(tmp_path)),
    ):
        pass
    assert opened[0].lines._file.closed
