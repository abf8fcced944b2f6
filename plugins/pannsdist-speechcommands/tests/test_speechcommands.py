"""What the dataset `speechcommands` makes of the two downloads, with 35 and with 12 classes."""

import pytest
from corpus_tests import CorpusTests, touch, write
from pannsdist_speechcommands import SILENCE, TEST_SET, UNKNOWN, WORDS, SpeechCommands

ALL = (*WORDS, "backward", "bed", "happy")
NOISES = ("doing_the_dishes", "pink_noise", "running_tap")
SPEAKERS = {"train": ("0a7c2a8d", "0b40aa8e"), "valid": ("0c5027de",), "test": ("0ea0e2f4",)}


def make_root(folder):
    """Thirteen words by four speakers, one of them twice; noises; and the test set of its own."""
    paths = {
        split: [f"{word}/{speaker}_nohash_0.wav" for word in ALL for speaker in speakers]
        for split, speakers in SPEAKERS.items()
    }
    paths["train"].append("happy/0a7c2a8d_nohash_1.wav")
    write(folder / "validation_list.txt", paths["valid"])
    write(folder / "testing_list.txt", paths["test"])
    touch(folder, (path for split in paths.values() for path in split))
    touch(folder, (f"_background_noise_/{noise}.wav" for noise in NOISES))
    touch(folder, ("_background_noise_/README.md", "LICENSE", "README.md"))
    touch(folder, (f"{TEST_SET}/{label}/0ea0e2f4_nohash_0.wav" for label in (*WORDS, UNKNOWN, SILENCE)))
    return folder


def speaker(clip):
    name = clip.id.rpartition("/")[2]
    return name.partition("_nohash_")[0]


class Official(CorpusTests):
    plugin = SpeechCommands
    recipe = "speechcommands_mn04.yaml"
    make_root = staticmethod(make_root)
    source_of = staticmethod(lambda clip: speaker(clip).partition("#")[0])
    tables = {"validation_list.txt": "", "testing_list.txt": ""}
    a_sound = "yes/0c5027de_nohash_0.wav"


class TestThirtyFive(Official):
    counts = {"train": 27, "valid": 13, "test": 13}
    labels = tuple(sorted(ALL))

    def test_what_no_list_names_is_trained_on(self, root):
        assert {speaker(clip) for clip in self.opened(root).clips("train")} == set(SPEAKERS["train"])

    def test_a_list_in_the_folders_of_words_that_is_no_recording_is_refused(self, root):
        touch(root, ("yes/copy of 1.wav",))
        assert f"{root}/yes/copy of 1.wav: path is 'yes/copy of 1.wav'" in self.refusal(root)

    @pytest.mark.parametrize("path", ["yes/0c5027de.wav", "../yes/0c5027de_nohash_0.wav", "yes\\0c5027de_nohash_0.wav"])
    def test_a_line_that_names_no_recording_is_refused(self, root, path):
        write(root / "testing_list.txt", ["yes/0ea0e2f4_nohash_0.wav", path])
        assert self.refusal(root).startswith(f"{root}/testing_list.txt:2: path is {path!r}")

    def test_a_clip_of_both_lists_is_refused(self, root):
        write(root / "testing_list.txt", ["yes/0c5027de_nohash_0.wav"])
        assert f"{root}/testing_list.txt:1: 'yes/0c5027de_nohash_0.wav' has the id of a clip at" in self.refusal(root)

    def test_another_number_of_classes_is_refused(self, root):
        assert self.refusal(root, classes=10).startswith("data.params.classes is '10'\n  allowed: 12, 35")


class TestTwelve(Official):
    params = {"classes": 12}
    needed = (TEST_SET, "_background_noise_")
    counts = {"train": 27 + 2 * 60, "valid": 13 + 60, "test": 12}
    labels = (SILENCE, UNKNOWN, *WORDS)

    def test_the_test_split_is_the_test_set_of_its_own(self, root):
        clips = self.opened(root).clips("test")
        assert {clip.source.parent.parent.name for clip in clips} == {TEST_SET}
        assert {clip.labels[0] for clip in clips} == {*WORDS, UNKNOWN, SILENCE}

    def test_other_words_are_unknown(self, root):
        labels = {clip.source.parent.name: clip.labels[0] for clip in self.opened(root).clips("train")}
        assert labels["yes"] == "yes"
        assert labels["bed"] == labels["happy"] == UNKNOWN

    def test_silence_is_made_of_seconds_of_noise_and_one_noise_is_for_validation(self, root):
        def silence(split):
            return [clip for clip in self.opened(root).clips(split) if clip.labels == (SILENCE,)]

        assert {clip.source.stem for clip in silence("valid")} == {"running_tap"}
        assert {clip.source.stem for clip in silence("train")} == {"doing_the_dishes", "pink_noise"}
        spans = [(clip.start_s, clip.duration_s) for clip in silence("valid")]
        assert spans == [(float(second), 1.0) for second in range(60)]
