"""What the dataset `fsdkaggle2018` makes of a download."""

import pytest
from corpus_tests import FoldedCorpusTests, touch, write
from pannsdist_fsdkaggle2018 import FsdKaggle2018

TRAIN = "FSDKaggle2018.meta/train_post_competition.csv"
TEST = "FSDKaggle2018.meta/test_post_competition_scoring_clips.csv"
HEADER = "fname,label,manually_verified,freesound_id,license"


def make_root(folder):
    """Ten blocks of Freesound ids, in each two verified clips and one that is not; three test clips."""
    rows = []
    for block in range(10):
        rows.append(f"{block:04x}a.wav,Cough,1,{block * 1000 + 1},Attribution")
        rows.append(f"{block:04x}b.wav,Bark,1,{block * 1000 + 2},Creative Commons 0")
        rows.append(f"{block:04x}c.wav,Bark,0,{block * 1000 + 999},Attribution")
    write(folder / TRAIN, [HEADER, *rows])
    names = ("00326aa9.wav", "0038a046.wav", "007759c4.wav")
    tests = [
        f"{name},Cough,{use},{88_000 + n},Attribution"
        for n, (name, use) in enumerate(zip(names, ("Public", "Private", "Private"), strict=True))
    ]
    write(folder / TEST, ["fname,label,usage,freesound_id,license", *tests])
    touch(folder, (f"FSDKaggle2018.audio_train/{row.split(',')[0]}" for row in rows))
    touch(folder, (f"FSDKaggle2018.audio_test/{name}" for name in names))
    return folder


def block(clip):
    return clip.id[:4]


class TestCorpus(FoldedCorpusTests):
    plugin = FsdKaggle2018
    recipe = "fsdkaggle2018_cnn14.yaml"
    make_root = staticmethod(make_root)
    source_of = staticmethod(block)
    tables = {TRAIN: "manually_verified", TEST: "freesound_id"}
    needed = ("FSDKaggle2018.audio_train", "FSDKaggle2018.audio_test")
    counts = {"train": 24, "valid": 4, "test": 3}
    labels = ("Bark", "Cough")
    a_sound = "FSDKaggle2018.audio_train/0004a.wav"

    def test_a_fold_is_whole_blocks_of_freesound_ids(self, root):
        assert {block(clip) for clip in self.opened(root, valid_fold=3).clips("valid")} == {"0002", "0007"}

    def test_clips_of_the_fold_that_nobody_verified_are_not_heard(self, root):
        clips = self.everything(root, valid_fold=3)
        assert not {"0002c", "0007c"} & {clip.id for found in clips.values() for clip in found}
        assert "0001c" in {clip.id for clip in clips["train"]}

    def test_only_the_verified_clips_are_trained_on_where_that_is_asked_for(self, root):
        clips = self.everything(root, train_on="verified")
        assert {split: len(found) for split, found in clips.items()} == {"train": 16, "valid": 4, "test": 3}
        assert self.refusal(root, train_on="most").startswith(
            "data.params.train_on is 'most'\n  allowed: verified, all"
        )

    @pytest.mark.parametrize(
        ("row", "said"),
        [
            ("x.wav,Bark,2,5,CC0", "manually_verified is '2'"),
            ("x.wav,Bark,1,,CC0", "freesound_id is ''"),
            ("x.wav,,1,5,CC0", "label is empty"),
            ("../x.wav,Bark,1,5,CC0", "fname is '../x.wav'"),
            ("x.wav,Bark,1,5", "4 values for 5 columns"),
        ],
    )
    def test_a_row_that_does_not_fit_is_refused_with_its_line(self, root, row, said):
        write(root / TRAIN, [HEADER, row])
        touch(root, ("FSDKaggle2018.audio_train/x.wav",))
        assert self.refusal(root).startswith(f"{root}/{TRAIN}:2: {said}")
