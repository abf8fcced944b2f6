"""What two real processes do in common."""

import re
import signal
from pathlib import Path

import launching
import numpy as np
import pytest

from pannsdist.runtime.errors import EXIT_STOPPED

SCRIPTS = Path(__file__).parent / "scripts"
MISTAKE = "clip 'a' (a.wav): the file is empty\n  mend it\n  next: ls"


@pytest.fixture(scope="module")
def met(two, results):  # noqa: ARG001 - it is `two` that writes the results
    """What each process got of everything that a world offers."""
    return [results("world").json(f"world.{rank}") for rank in range(2)]


def test_each_process_knows_its_rank(met):
    assert [facts["who"] for facts in met] == [[0, 2, True], [1, 2, False]]


def test_every_process_gathers_all_items_by_rank(met):
    items = [{"rank": 0, "items": []}, {"rank": 1, "items": [0]}]
    assert [facts["gather"]["value"] for facts in met] == [items, items]


def test_total_sums_each_value_over_the_processes(met):
    assert [facts["total"]["value"] for facts in met] == [[4.5, 1.0, -(2.0**41)]] * 2


def test_agree_gives_each_process_its_own_value(met):
    assert [facts["agree"]["value"] for facts in met] == ["own value of 0", "own value of 1"]


def test_a_mistake_of_one_process_is_raised_in_all(met):
    assert [facts["mistake in 1"] for facts in met] == [{"error": "BadClip", "text": MISTAKE}] * 2


def test_of_two_mistakes_that_of_the_lowest_rank_is_raised(met):
    assert [facts["mistake in both"]["text"] for facts in met] == ["mistake of 0"] * 2


def test_a_mistake_goes_before_a_surprise(met):
    outcomes = [facts["surprise in 0, mistake in 1"] for facts in met]
    assert outcomes == [{"error": "BadClip", "text": MISTAKE}] * 2


def test_a_surprise_arrives_with_its_text_and_its_place(met):
    there, here = (facts["surprise in 1"] for facts in met)
    assert here == {"error": "KeyError", "text": "'key 41'"}
    assert there["error"] == "PeerLost"
    assert there["text"].startswith("the process of rank 1 failed: KeyError: 'key 41' (world.py, line ")
    assert "the same command continues" in there["text"]


def test_on_main_gives_every_process_what_rank_0_worked_out(met):
    assert [facts["on main"]["value"] for facts in met] == ["main's value"] * 2


def test_a_failure_on_main_is_raised_in_all(met):
    assert [facts["mistake on main"] for facts in met] == [{"error": "BadClip", "text": MISTAKE}] * 2
    assert [facts["surprise on main"]["error"] for facts in met] == ["KeyError", "PeerLost"]


@pytest.mark.parametrize(
    ("name", "expected"),
    {
        "float32": np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3),
        "float64": np.array([1 / 3, np.pi]),
        "int64": np.array([2**40, -1]),
        "int32": np.array([[7]], np.int32),
        "uint8": np.array([0, 255], np.uint8),
        "no axis": np.array(0.9, np.float32),
        "transposed": np.arange(6, dtype=np.float32).reshape(2, 3).T,
    }.items(),
)
def test_every_process_gets_the_arrays_of_rank_0(met, name, expected):
    wanted = [str(expected.dtype), list(expected.shape), expected.tolist()]
    assert [facts["arrays"][name] for facts in met] == [wanted, wanted]


def test_an_array_without_elements_is_shared_too(met):
    assert [facts["empty array"] for facts in met] == [{"value": [[0, 3]]}] * 2


def test_gradients_are_averaged_in_buffers_of_the_settings_size(met):
    assert [facts["buffer"] for facts in met] == [25 * 2**20] * 2


def test_a_method_for_all_processes_within_agreed_work_is_refused(met):
    for facts in met:
        assert "must not wait for them" in facts["collective within work"]["text"]


def test_after_failures_the_processes_are_still_in_step(met):
    assert [facts["still together"]["value"] for facts in met] == [[0, 1]] * 2


def test_a_process_may_be_later_than_gloo_would_wait(late):
    started, results = late
    launched = started.finish()
    assert launched.exit_codes == (0, 0), str(launched)
    assert [results.json(f"late.{rank}") for rank in range(2)] == [[["item of 0", "item of 1"], [1.5, 1.5]]] * 2


def test_an_error_in_one_process_does_not_abort_the_one_that_waits_for_its_gradient(tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    lost = launching.launch(SCRIPTS / "lost.py", "key 41", cwd=folder)
    assert lost.exit_codes == (EXIT_STOPPED, 1), str(lost)
    assert "KeyError: 'key 41'" in lost.logs[1]
    assert "error: the process of rank 1 has ended\n" in lost.logs[0], str(lost)
    assert "the same command continues" in lost.logs[0]
    assert "next: python -m paddle.distributed.launch --nproc_per_node 2 " in lost.logs[0]
    assert "Traceback" not in lost.logs[0], str(lost)


HANGS = {
    "evaluation": r"nothing was received from it for \d+ s; the last that is known of it: evaluating valid, batch 3",
    "step": "no progress for 3 s: reading the batch of step 3",
}


@pytest.fixture(scope="module")
def hanging(place):
    """Processes of which rank 1 hangs, in all ways at once."""
    started = {}
    for where in HANGS:
        folder = place / f"hanging in {where}"
        folder.mkdir()
        started[where] = launching.start(SCRIPTS / "hanging.py", where, 3, cwd=folder)
    return {where: one.finish() for where, one in started.items()}


@pytest.mark.parametrize("where", HANGS)
def test_a_process_that_hangs_ends_all_of_them_so_that_they_can_be_continued(hanging, where):
    launched = hanging[where]
    assert EXIT_STOPPED in launched.exit_codes, str(launched)
    assert set(launched.exit_codes[:1]) <= {EXIT_STOPPED, None}, "None: the launcher kills who is slow to end"
    # Python's faulthandler reads the stacks of a process that goes on meanwhile, and may crash it with that.
    assert set(launched.exit_codes[1:]) <= {EXIT_STOPPED, None, -signal.SIGSEGV}
    expected = rf"^error: the process of rank 1 hangs: {HANGS[where]}$"
    assert re.search(expected, "".join(launched.logs), re.MULTILINE), str(launched)
    assert "the same command continues" in "".join(launched.logs)
    assert "in barrier" in launched.logs[0], "the stack of the one that waits"
    assert "in batches" in launched.logs[1], "the stack of the one that hangs"
    assert "Traceback" not in "".join(launched.logs)
