"""The settings of a step in runs of two processes, and a run of four."""

import json

import pytest

from pannsdist.kernels.choice import Wanted, choose

SAID = {
    "sync_batch_norm": "train.sync_batch_norm is set, but Paddle has no CPU kernel for SyncBatchNorm",
    "freeze": "unknown stage 'conv_blok1' in train.freeze\n  closest: conv_block1.  stages of the",
    "accumulate_steps": "train.accumulate_steps on the command line is 3, but train.batch_size on the command line",
}


@pytest.mark.parametrize("setting", SAID)
def test_what_cannot_be_is_refused_by_every_process(two, setting):
    launched = two[setting]
    assert launched.exit_codes == (2, 2), str(launched)
    for log in launched.logs:
        assert SAID[setting] in log
        assert "Traceback" not in log


def test_a_run_with_every_tool_ends_and_says_what_has_no_effect(two, place):
    launched = two["tools"]
    assert launched.exit_codes == (0, 0), str(launched)
    has_effect = choose(Wanted("auto", "bf16"), "cpu").operands == "bfloat16"
    assert launched.logs[0].count("train.amp=bf16 has no effect") == (not has_effect)
    assert "no effect" not in launched.logs[1]
    assert "ecompute" not in launched.logs[0]
    (record,) = (place / "tools").glob("runs/*/best_model/*.json")
    assert json.loads(record.read_text())


def test_four_processes_finish_a_run_whose_evaluation_has_two_batches(four, alone, place):
    assert four["train"].exit_codes == (0, 0, 0, 0), str(four["train"])
    assert alone["train"].exit_codes == (0,), str(alone["train"])
    (together,), (one,) = (
        [json.loads(line) for line in (place / name / "runs/tiny/scores.jsonl").read_text().splitlines()]
        for name in ("four_train", "one_train")
    )
    assert together.keys() == one.keys()
    assert together["step"] == one["step"]
