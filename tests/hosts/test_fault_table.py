"""The pages have the rows of the table that the tests of faults write, and what finds lost clips finds them."""

import json
import re

import jobs
import ledger
import pytest
from fault_table import ROWS, Loss, page, with_figures

LOST = (r"0 of \d+ clips; weights (equal|within \de-\d\d)", r"\d+ 个片段中 0 个；权重(逐位相同|相差不超过 \de-\d\d)")


@pytest.mark.parametrize(("number", "language"), [(0, "en"), (1, "zh")])
def test_the_page_has_each_row_with_its_figures(number, language):
    text = page(language).read_text(encoding="utf-8")
    for row in ROWS.values():
        begin = re.escape(f"| {row.fault[number]} | {row.happens[number]} | ")
        assert re.search(rf"^{begin}(\d+ s|—) \| ({LOST[number]}|—) \|$", text, re.MULTILINE), row.fault[number]
    changed = with_figures(text, {"rank": 12345.0}, {"rank": Loss(1, 360, 2e-8)}, number)
    row = ROWS["rank"]
    lost = ("1 of 360 clips; weights within 2e-08", "360 个片段中 1 个；权重相差不超过 2e-08")[number]
    assert f"| {row.fault[number]} | {row.happens[number]} | 12345 s | {lost} |" in changed


def written(folder, starts):
    """A ledger of starts: port, the step after which it goes on, and the clips that each process read."""
    (folder / ledger.FOLDER).mkdir()
    for number, (port, after_step, read) in enumerate(starts):
        record = {"start": port, "after_step": after_step, "world": len(read), "ns": 10 * number + 5}
        with (folder / ledger.FOLDER / ledger.STARTS).open("a") as file:
            file.write(json.dumps(record) + "\n")
        for rank, names in enumerate(read):
            path = folder / ledger.FOLDER / f"{port}.{rank}.{10 * number}"
            path.write_text("".join(f"{name}\n" for name in names))


@pytest.mark.parametrize(
    ("again", "lost"),
    [
        (["c", "d", "a", "b", "d", "c"], []),
        (["c", "c", "a", "b", "d", "c"], ["epoch 1: c 2 times", "epoch 1: d 0 times"]),
        (["c", "d", "a", "b", "d"], ["epoch 2: c 0 times"]),
    ],
)
def test_each_clip_that_was_not_trained_on_once_is_found(tmp_path, again, lost):
    """Two steps of two clips make an epoch; two processes begin, and read ahead; one goes on after the first step."""
    second = [*(f"train/{name}" for name in again[:2]), "valid/x", *(f"train/{name}" for name in again[2:])]
    written(
        tmp_path, [("20001", 0, [["train/a", "train/c"], ["train/b", "valid/x", "train/d"]]), ("20002", 1, [second])]
    )
    clips = [f"train/{name}" for name in "abcd"]
    found = ledger.lost(ledger.trained(tmp_path, batch=2, steps=4), clips, epochs=2)
    assert [text.replace("train/", "") for text in found] == lost


def test_the_names_of_all_clips_are_known():
    assert len(set(jobs.CLIPS)) == jobs.BATCH * jobs.EPOCH_STEPS
