"""A run that would go on with other kernels, which have other bits, is refused, or continued deliberately."""

from pathlib import Path

import calling
import launching
import pytest

from pannsdist.kernels.choice import Wanted, choose
from pannsdist.run.same_run import FREE_KEYS, other_kernels
from pannsdist.runtime.errors import BadRunFolder

RUN = Path("runs/one")
TINY = ("tones_cnn6.yaml", *launching.TINY, "trackers.visualdl=null", "name=a")


@pytest.mark.parametrize("wanted", ["auto", "paddle", "onednn"])
def test_the_same_kernels_go_on(wanted):
    assert other_kernels(RUN, "onednn float32", "onednn float32", wanted) == ""


@pytest.mark.parametrize(
    ("before", "now", "chosen"),
    [("onednn float32", "paddle float32", "paddle"), ("paddle float32", "onednn bfloat16", "onednn")],
)
def test_other_kernels_are_refused_where_the_program_chose_them_and_go_on_where_the_user_did(before, now, chosen):
    with pytest.raises(BadRunFolder, match="not bit-equal") as caught:
        other_kernels(RUN, before, now, "auto")
    assert before in caught.value.wrong and now in caught.value.wrong
    assert f"train.cpu_kernels={chosen}" in caught.value.right
    assert (
        other_kernels(RUN, before, now, chosen)
        == f"the run goes on with other kernels: {before} so far, {now} from here on"
    )


def test_the_setting_may_change_in_a_run():
    assert "train.cpu_kernels" in FREE_KEYS


def test_a_run_is_refused_with_other_kernels_by_a_dry_run_too_and_goes_on_with_named_ones(tmp_path):
    first = calling.train(*TINY, "train.epochs=1", "train.cpu_kernels=paddle", cwd=tmp_path)
    assert first.exit_code == 0 and "Paddle's own, float32: train.cpu_kernels is paddle" in first.output
    before = launching.contents(tmp_path / "runs" / "a")
    if choose(Wanted("auto", "none"), "cpu").kernels == "paddle":
        pytest.skip("auto is paddle here")
    for further in (["--dry-run"], []):
        refused = calling.train(*TINY, "train.epochs=2", *further, cwd=tmp_path)
        assert refused.exit_code == 2 and "train.cpu_kernels=onednn" in refused.output
    assert launching.contents(tmp_path / "runs" / "a")["scores.jsonl"] == before["scores.jsonl"]
    again = calling.train(*TINY, "train.epochs=2", "train.cpu_kernels=onednn", cwd=tmp_path)
    assert again.exit_code == 0, again.output
    assert "other kernels: paddle float32 so far, onednn float32 from here on" in again.output
