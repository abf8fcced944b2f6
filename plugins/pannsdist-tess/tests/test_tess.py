"""What the dataset `tess` makes of a download, whose folders and names are not all of one kind."""

from corpus_tests import FoldedCorpusTests, touch
from pannsdist_tess import Tess

FOLDERS = {
    "OAF": ("OAF_angry", "OAF_disgust", "OAF_Fear", "OAF_happy", "OAF_neutral", "OAF_Pleasant_surprise", "OAF_Sad"),
    "YAF": ("YAF_angry", "YAF_disgust", "YAF_fear", "YAF_happy", "YAF_neutral", "YAF_pleasant_surprised", "YAF_sad"),
}
EMOTIONS = ("angry", "disgust", "fear", "happy", "neutral", "ps", "sad")


def make_root(folder):
    """Two words in each emotion of each speaker; one is misspelt as in the download."""
    for speaker, folders in FOLDERS.items():
        for name, emotion in zip(folders, EMOTIONS, strict=True):
            touch(folder, (f"{name}/{speaker}_{word}_{emotion}.wav" for word in ("back", "bite")))
    (folder / "OAF_neutral" / "OAF_bite_neutral.wav").rename(folder / "OAF_neutral" / "OA_bite_neutral.wav")
    return folder


class TestCorpus(FoldedCorpusTests):
    plugin = Tess
    recipe = "tess_cnn14.yaml"
    make_root = staticmethod(make_root)
    source_of = staticmethod(lambda clip: clip.id[0])
    counts = {"train": 14, "valid": 14}
    labels = ("angry", "disgust", "fear", "happy", "neutral", "pleasant_surprise", "sad")
    a_sound = "YAF_sad/YAF_back_sad.wav"

    def test_a_speaker_is_held_out(self, root):
        assert {clip.id[:2] for clip in self.opened(root, valid_fold=1).clips("valid")} == {"OA"}
        assert {clip.id[:3] for clip in self.opened(root, valid_fold=2).clips("valid")} == {"YAF"}

    def test_the_files_may_stand_deeper_or_in_one_folder(self, root, tmp_path_factory):
        flat = tmp_path_factory.mktemp("flat")
        touch(flat, (f"data/all/{path.name}" for path in root.rglob("*.wav")))
        assert {clip.id for clip in self.opened(flat).clips("train")} == {
            clip.id for clip in self.opened(root).clips("train")
        }

    def test_a_copy_in_a_folder_below_is_refused_with_both_places(self, root):
        touch(root, ("copy/OAF_angry/OAF_back_angry.wav",))
        said = self.refusal(root)
        assert "has the id of a clip at" in said
        assert f"{root}/copy/OAF_angry/OAF_back_angry.wav" in said

    def test_a_file_of_another_name_is_refused(self, root):
        touch(root, ("OAF_angry/noise.wav",))
        assert self.refusal(root).startswith(f"{root}/OAF_angry/noise.wav: path is 'OAF_angry/noise.wav'")

    def test_a_third_speaker_is_refused(self, root):
        assert self.refusal(root, valid_fold=3).startswith("data.params.valid_fold is 3\n  allowed: 1 to 2")
