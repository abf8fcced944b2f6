"""The settings of a step in real runs of two processes, as a user starts them."""

import json

import launching
import pytest

TOOLS = (
    *("train.epochs=2", "train.accumulate_steps=2", "train.clip_norm=1", "train.amp=bf16", "train.ema_decay=0.9"),
    *("train.freeze=[conv_block1]", "train.unfreeze_epoch=2", "train.recompute=true", "loss.name=focal"),
    *(
        "optimizer.layer_decay=0.8",
        "optimizer.head_lr_factor=5",
        "schedule.name=one_cycle",
        "schedule.warmup_epochs=0",
    ),
)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        (
            "train.sync_batch_norm=true",
            "train.sync_batch_norm is set, but Paddle has no CPU kernel for SyncBatchNorm",
        ),
        (
            "train.freeze=[conv_blok1]",
            "unknown stage 'conv_blok1' in train.freeze\n  closest: conv_block1.  stages of the",
        ),
        (
            "train.accumulate_steps=3",
            "train.accumulate_steps on the command line is 3, but train.batch_size on the command line gives",
        ),
    ],
)
def test_what_cannot_be_is_refused_by_every_process(tmp_path, setting, said):
    launched = launching.train("tones_cnn6.yaml", *launching.TINY, setting, processes=2, cwd=tmp_path)
    assert launched.exit_codes == (2, 2), str(launched)
    for log in launched.logs:
        assert said in log
        assert "Traceback" not in log


def test_a_run_with_every_tool_ends_and_says_what_has_no_effect(tmp_path):
    launched = launching.train("tones_cnn6.yaml", *launching.TINY, *TOOLS, processes=2, cwd=tmp_path)
    assert launched.exit_codes == (0, 0), str(launched)
    assert launched.logs[0].count("train.amp=bf16 has no effect on a CPU") == 1
    assert "no effect" not in launched.logs[1]
    assert "ecompute" not in launched.logs[0]
    assert any(tmp_path.glob("runs/*/best_model/*.json")), sorted(tmp_path.rglob("*"))
    assert json.loads(next(tmp_path.glob("runs/*/best_model/*.json")).read_text())
