"""What the dataset `urbansound8k` makes of a download."""

import pytest
from corpus_tests import FoldedCorpusTests, touch, write
from pannsdist_urbansound8k import UrbanSound8k

TABLE = "metadata/UrbanSound8K.csv"
HEADER = "slice_file_name,fsID,start,end,salience,fold,classID,class"


def make_root(folder):
    """Ten folds, in each two slices of a dog (3) and one of an air conditioner (0); fold 10 has more digits."""
    rows = []
    for fold in range(1, 11):
        dog, air = 1000 + fold, 2000 + fold
        rows.append(f"{dog}-3-0-0.wav,{dog},0.0,0.317551,1,{fold},3,dog_bark")
        rows.append(f"{dog}-3-0-1.wav,{dog},14.5,18.5,2,{fold},3,dog_bark")
        rows.append(f"{air}-0-0-0.wav,{air},0.0,4.0,1,{fold},0,air_conditioner")
    write(folder / TABLE, [HEADER, *rows])
    touch(folder, (f"audio/fold{row.split(',')[5]}/{row.split(',')[0]}" for row in rows))
    touch(folder, ("audio/fold1/.DS_Store",))
    return folder


class TestCorpus(FoldedCorpusTests):
    plugin = UrbanSound8k
    recipe = "urbansound8k_cnn14.yaml"
    make_root = staticmethod(make_root)
    source_of = staticmethod(lambda clip: clip.id.split("-")[0])
    tables = {TABLE: "classID"}
    counts = {"train": 27, "valid": 3}
    labels = ("air_conditioner", "dog_bark")
    a_sound = "audio/fold7/1007-3-0-1.wav"

    def test_a_fold_is_held_out_and_another_set_aside(self, root):
        clips = self.everything(root, valid_fold=10, test_fold=2)
        assert {split: len(found) for split, found in clips.items()} == {"train": 24, "valid": 3, "test": 3}
        assert {clip.source.parent.name for clip in clips["valid"]} == {"fold10"}

    @pytest.mark.parametrize(
        ("row", "said"),
        [
            ("9-3-0-0.wav,9,0,1,1,11,3,dog_bark", "fold is '11'"),
            ("9-3-0-0.wav,9,0,1,1,1,10,dog_bark", "classID is '10'"),
            ("9-3-0-0.wav,9,0,1,1,1,0,dog_bark", "class 0 is 'dog_bark', but another row says 'air_conditioner'"),
            ("../../9.wav,9,0,1,1,1,3,dog_bark", "slice_file_name is '../../9.wav'"),
            ("9-3-0-0.wav;9;0;1;1;1;3;dog_bark", "1 values for 8 columns"),
        ],
    )
    def test_a_row_that_does_not_fit_is_refused_with_its_line(self, root, row, said):
        with (root / TABLE).open("a") as file:
            file.write(f"{row}\n")
        touch(root, ("audio/fold1/9-3-0-0.wav",))
        assert self.refusal(root).startswith(f"{root}/{TABLE}:32: {said}")
