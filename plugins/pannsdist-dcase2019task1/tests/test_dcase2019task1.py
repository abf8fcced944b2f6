"""What the dataset `dcase2019task1` makes of a download."""

import pytest
from corpus_tests import CorpusTests, touch, write
from pannsdist_dcase2019task1 import Dcase2019Task1

META, TRAIN, EVALUATE = "meta.csv", "evaluation_setup/fold1_train.csv", "evaluation_setup/fold1_evaluate.csv"
CLIPS = {
    "train": ("airport-lyon-1-10-a", "bus-vienna-2-20-a", "airport-vienna-3-30-a", "bus-paris-4-40-a"),
    "evaluate": ("bus-milan-5-50-a", "airport-vienna-6-60-a", "airport-lyon-7-70-a"),
    "unused": ("bus-milan-8-80-a",),
}


def scene(name):
    return name.split("-")[0]


def make_root(folder):
    """Tables separated by tabs; a clip of Milan that is in neither list; a list of names without labels."""
    everything = [name for names in CLIPS.values() for name in names]
    rows = [f"audio/{name}.wav\t{scene(name)}\t{name.split('-')[1]}-{name.split('-')[2]}\ta" for name in everything]
    write(folder / META, ["filename\tscene_label\tidentifier\tsource_label", *rows])
    for part, path in (("train", TRAIN), ("evaluate", EVALUATE)):
        write(folder / path, ["filename\tscene_label", *(f"audio/{name}.wav\t{scene(name)}" for name in CLIPS[part])])
    write(
        folder / "evaluation_setup/fold1_test.csv", ["filename", *(f"audio/{name}.wav" for name in CLIPS["evaluate"])]
    )
    touch(folder, (f"audio/{name}.wav" for name in everything))
    return folder


class TestCorpus(CorpusTests):
    plugin = Dcase2019Task1
    recipe = "dcase2019task1_cnn14.yaml"
    make_root = staticmethod(make_root)
    source_of = staticmethod(lambda clip: tuple(clip.id.split("-")[1:3]))
    tables = {META: "scene_label", TRAIN: "filename", EVALUATE: "scene_label"}
    counts = {"train": 2, "valid": 2, "test": 3}
    labels = ("airport", "bus")
    a_sound = "audio/bus-paris-4-40-a.wav"

    def test_a_city_of_the_training_list_is_held_out(self, root):
        clips = self.everything(root, valid_city="lyon")
        assert [clip.id for clip in clips["valid"]] == ["airport-lyon-1-10-a"]
        assert len(clips["train"]) == len(clips["test"]) == 3

    def test_without_a_city_the_official_test_validates(self, root):
        clips = self.everything(root, valid_city="none")
        assert {split: len(found) for split, found in clips.items()} == {"train": 4, "valid": 3}

    def test_milan_cannot_be_held_out_since_it_is_not_trained_on(self, root):
        assert self.refusal(root, valid_city="milan").startswith(
            "data.params.valid_city is 'milan'\n  allowed: barcelona"
        )

    @pytest.mark.parametrize(
        ("row", "said"),
        [
            ("audio/bus-milan-5-50-a.wav\tairport", "'audio/bus-milan-5-50-a.wav' is 'airport', but "),
            ("audio/bus-milan-9-90-a.wav\tbus", "'audio/bus-milan-9-90-a.wav' is 'bus', but meta.csv has no such row"),
            ("bus-milan-5-50-a.wav\tbus", "filename is 'bus-milan-5-50-a.wav'"),
            ("audio/../../bus-milan-5-50-a.wav\tbus", "filename is 'audio/../../bus"),
            ("audio/bus-milan-5-50-a.wav,bus", "1 values for 2 columns"),
        ],
    )
    def test_a_row_that_does_not_fit_is_refused_with_its_line(self, root, row, said):
        write(root / EVALUATE, ["filename\tscene_label", row])
        assert self.refusal(root).startswith(f"{root}/{EVALUATE}:2: {said}")

    def test_a_table_that_was_saved_with_commas_is_read(self, root):
        before = self.everything(root, valid_city="lyon")
        for path in (root / META, root / TRAIN, root / EVALUATE):
            path.write_text(path.read_text().replace("\t", ","))
        assert self.everything(root, valid_city="lyon") == before
