"""A run that is stopped and killed again and again ends as one that was not."""

import random
import signal

import killing
import paddle
import pytest
from killing import interrupt, kill_all, kill_one, terminate

from pannsdist.runtime.errors import EXIT_STOPPED

MOMENTS = 20 if int(paddle.__version__.split(".")[0]) >= 3 else 5


IN_TURN = {"a run in one go": killing.in_one_go}


def test_a_run_that_is_stopped_and_killed_ends_as_one_that_was_not(killed, together):
    """With an optimizer, a schedule and a metric of another distribution; every start goes on where the last ended."""
    straight = together["a run in one go"]
    assert straight.launched.exit_codes == (0, 0), str(straight.launched)
    assert killed.launched.exit_codes == (0, 0), str(killed.launched)
    assert "resumes " in killed.launched.logs[0]
    killing.assert_same(killed.work, straight.work)


def test_a_signal_to_one_process_alone_stops_both(killed):
    (launched,) = killed.stopped
    killing.assert_stopped(launched)


def test_the_process_that_is_left_says_which_one_was_lost_and_how_to_go_on(killed):
    lost = killed.lost
    assert sorted(lost.exit_codes) == [-signal.SIGKILL, EXIT_STOPPED], str(lost)
    gone = lost.exit_codes.index(-signal.SIGKILL)
    said = lost.logs[1 - gone]
    assert said.count(f"error: the process of rank {gone} has ended\n") == 1, str(lost)
    assert "checkpoints are complete: the same command continues from the last one" in said
    assert "next: python -m paddle.distributed.launch --nproc_per_node 2 " in said
    assert "Traceback" not in said, str(lost)


@pytest.mark.long
def test_a_run_that_is_killed_at_many_moments_ends_as_one_that_was_not(env, tmp_path):
    """A seed decides the moments: soon after the start, or in the middle of it."""
    work, straight = tmp_path / "work", tmp_path / "straight"
    launched = killing.start(straight, env, killing.LONG).finish()
    assert launched.exit_codes == (0, 0), str(launched)
    dice = random.Random(4)
    stopped = 0
    for moment in range(MOMENTS):
        way = (kill_all, kill_one, terminate, kill_all, interrupt)[moment % 5]
        is_early = moment % 5 == 3 and moment > 5
        launched = killing.end(killing.start(work, env, killing.LONG), work, way, dice, is_early)
        if way in killing.STOPPING:
            killing.assert_stopped(launched)
            stopped += 1
    assert stopped >= MOMENTS // 5
    launched = killing.start(work, env, killing.LONG).finish()
    assert launched.exit_codes == (0, 0), str(launched)
    assert "resumes " in launched.logs[0]
    killing.assert_same(work, straight)
