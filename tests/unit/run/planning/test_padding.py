"""What the plan says of clips that are shorter or longer than the crop."""

import numpy as np
import pytest
import soundfile

from pannsdist.audio.clip_lengths import ClipLengths
from pannsdist.run.planning.padding import CropFit, padding_warnings, rounded_up
from pannsdist.run.planning.plan_table import plan_table

RATE_HZ = 8000
TEXT = """
model: {name: small}
data: {name: manifest, params: {path: clips.csv}}
train: {batch_size: 2, crop_s: 5}
"""


@pytest.fixture
def table(decide, tmp_path, monkeypatch):
    """The plan of clips of these lengths in seconds, every second one of each class; None is a damaged file."""
    monkeypatch.chdir(tmp_path)

    def planned(train, valid, *overrides):
        rows = ["path,label,split"]
        for split, lengths in (("train", train), ("valid", valid)):
            for number, seconds in enumerate(lengths):
                name = f"{split}{number}.wav"
                if seconds is None:
                    (tmp_path / name).write_text("no sound")
                else:
                    soundfile.write(tmp_path / name, np.zeros(round(seconds * RATE_HZ), np.float32), RATE_HZ)
                rows.append(f"{name},{'ab'[number % 2]},{split}")
        (tmp_path / "clips.csv").write_text("\n".join(rows) + "\n")
        return plan_table(decide(*overrides))

    return planned


def row(table, name):
    """The lines of a row of the table."""
    lines = table.splitlines()
    first = next((number for number, line in enumerate(lines) if line.startswith(f"{name:<11}")), None)
    if first is None:
        return []
    last = next((number for number in range(first + 1, len(lines)) if lines[number][0] != " "), len(lines))
    return [line[11:] for line in lines[first:last]]


def test_short_clips_are_said_to_be_padded_and_a_crop_is_suggested(table):
    said = table([0.4, 0.42, 0.42, 0.96], [0.42, 0.42])
    assert row(said, "lengths") == [
        "train: median clip 0.42 s; 89 % of each batch is silence (4 of 4 clips looked at)",
        "valid: median clip 0.42 s; 92 % of each batch is silence (2 of 2 clips looked at)",
    ]
    assert row(said, "warning") == ["89 % of each batch of train is silence; train.crop_s=1 leaves 45 %"]
    followed = table([0.4, 0.42, 0.42, 0.96], [0.42, 0.42], "train.crop_s=1")
    assert "45 % of each batch is silence" in row(followed, "lengths")[0]
    assert row(followed, "warning") == []


def test_long_clips_are_said_to_be_seen_in_part(table):
    said = table([10, 10], [25, 25], "train.crop_s=2")
    assert row(said, "lengths") == [
        "train: median clip 10 s; of each clip 20 % is seen per epoch (2 of 2 clips looked at)",
        "valid: median clip 25 s; of each clip 8 % is evaluated, from its start (2 of 2 clips looked at)",
    ]
    assert row(said, "warning") == []


def test_clips_of_the_length_of_the_crop_get_neither(table):
    said = table([5, 5], [5, 5])
    assert row(said, "lengths")[0] == "train: median clip 5 s (2 of 2 clips looked at)"
    assert row(said, "warning") == []


def test_a_crop_of_the_evaluation_alone_is_warned_of_by_its_own_key(table):
    said = table([1, 1], [1, 1], "train.crop_s=1", "valid.crop_s=4")
    assert row(said, "warning") == ["75 % of each batch of valid is silence; valid.crop_s=1 leaves 0 %"]


def test_a_clip_without_a_header_is_counted_and_no_error(table):
    said = table([5, 5, None], [None, None])
    assert row(said, "lengths") == [
        "train: median clip 5 s; 1 without a readable header (3 of 3 clips looked at)",
        "valid: 2 without a readable header (2 of 2 clips looked at)",
    ]


def test_clips_below_the_minimum_are_named_with_what_happens_and_the_setting(table):
    """They are no padding: nothing reads them."""
    lengths = ([0.05, 0.05, 5, 5], [5, 5])
    refused = (
        "2 of 4 clips of train are shorter than the minimum of 0.064 s, {}; data.min_clip_s=0 pads them with silence"
    )
    assert row(table(*lengths), "warning") == [refused.format("the run stops at the first one")]
    assert row(table(*lengths, "data.on_bad_clip=skip"), "warning") == [refused.format("they are skipped")]
    padded = table(*lengths, "data.min_clip_s=0")
    assert row(padded, "warning") == []
    assert "50 % of each batch is silence" in row(padded, "lengths")[0]
    assert "the minimum of 9 s" in row(table(*lengths, "data.min_clip_s=9"), "warning")[0]


def test_sources_that_do_not_know_their_length_add_nothing(decide):
    from test_decide import TEXT as OTHER

    known = plan_table(decide(text=OTHER))
    assert (
        row(known, "lengths")[0]
        == "train: median clip 1 s; of each clip 50 % is seen per epoch (16 of 16 clips looked at)"
    )


def fit(seconds, crop_s, min_clip_s=0.0):
    return CropFit("train", "train.crop_s", crop_s, min_clip_s, ClipLengths(np.array(seconds, float), len(seconds), 99))


def test_where_a_few_clips_are_long_the_suggestion_says_what_it_crops():
    said = "86 % of each batch of train is silence; train.crop_s=0.4 leaves 0 % and crops 10 % of the clips"
    lengths = [fit([0.4] * 9 + [10.0], 10.0)]
    assert padding_warnings(lengths, 0.1, can_group=False) == [said]
    grouped = f"{said}; train.group_by_length=true pads less and crops none"
    assert padding_warnings(lengths, 0.1, can_group=True) == [grouped]


def test_a_suggestion_is_no_shorter_than_the_network_needs():
    assert fit([0.1] * 4, 5.0).shorter_crop_s(minimum_s=0.32) == 0.4
    assert fit([0.1] * 4, 0.4).shorter_crop_s(minimum_s=0.32) is None
    said = padding_warnings([fit([0.1] * 4, 0.4)], 0.32, can_group=False)
    assert said == ["75 % of each batch of train is silence; a shorter train.crop_s cuts the long clips"]


def test_batches_by_length_are_not_warned_of(table):
    said = table([0.4, 0.42, 5, 5], [0.42, 0.42], "train.group_by_length=true")
    assert row(said, "train")[0].endswith("5 s of each; batches by length, padded to their longest clip")
    assert row(said, "valid")[0].endswith("5 s of each; one at a time, not padded")
    assert "silence" not in said


@pytest.mark.parametrize(
    ("seconds", "rounded"),
    [(0.42, 0.5), (0.9, 1.0), (1.0, 1.0), (1.01, 1.5), (3.2, 4.0), (9.9, 10.0), (0.064, 0.08), (0.3, 0.3), (63, 80)],
)
def test_suggested_lengths_are_easy_to_remember(seconds, rounded):
    assert rounded_up(seconds) == rounded
