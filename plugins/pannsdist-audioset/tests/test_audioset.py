"""What the dataset `audioset` makes of the published lists and of the files that somebody has."""

import pytest
from corpus_tests import CONFIGS, CorpusTests, touch, write
from pannsdist_audioset import BALANCED, EVALUATION, UNBALANCED, AudioSet

from pannsdist.cli.command_line import main
from pannsdist.registry import Catalog

COMMENTS = (
    "# Segments csv created Sun Mar  5 10:54:25 2017",
    "# num_ytids=2, num_segs=2, num_unique_labels=3, num_positive_labels=4",
    "# YTID, start_seconds, end_seconds, positive_labels",
)
LABELS = "class_labels_indices.csv"
CLASSES = ('0,/m/09x0r,"Speech"', '1,/m/05zppz,"Male speech, man speaking"', '2,/t/dd00088,"Gush"')
VIDEOS = {
    BALANCED: ("--PJHxphWEs", "--ZhevVpy1s", "Y0aaaaaaaaa"),
    UNBALANCED: ("---1_cCGK4M", "---2_BBVHAA"),
    EVALUATION: ("-0SdAVK79lg", "007P6bFgRCU"),
}


def make_root(folder):
    """Three lists; the sounds under each kind of name that is known; two videos that are gone."""
    write(folder / LABELS, ["index,mid,display_name", *CLASSES])
    for name, videos in VIDEOS.items():
        rows = [f'{video}, 30.000, 40.000, "/m/09x0r,/t/dd00088"' for video in videos]
        rows[-1] = f'{videos[-1]}, 0.000, 7.500, "/m/05zppz"'
        write(folder / f"{name}.csv", [*COMMENTS, *rows])
    touch(folder, (f"audio/{BALANCED}/Y--PJHxphWEs.wav", f"audio/{BALANCED}/Y0aaaaaaaaa_0.000.flac"))
    touch(folder, (f"audio/{UNBALANCED}/{UNBALANCED}_part00/Y---1_cCGK4M.wav",))
    touch(folder, (f"audio/{UNBALANCED}/{UNBALANCED}_part01/---2_BBVHAA.mp3",))
    touch(folder, (f"audio/{EVALUATION}/-0SdAVK79lg.wav", f"audio/{EVALUATION}/notes of 2017.wav"))
    return folder


class Lists(CorpusTests):
    plugin = AudioSet
    recipe = "audioset_mn04.yaml"
    make_root = staticmethod(make_root)
    source_of = staticmethod(lambda clip: clip.id)
    labels = ("Speech", "Male speech, man speaking", "Gush")


class TestBalanced(Lists):
    tables = {LABELS: "display_name", f"{BALANCED}.csv": "", f"{EVALUATION}.csv": ""}
    needed = ("audio",)
    counts = {"train": 2, "valid": 1}
    a_sound = f"audio/{BALANCED}/Y--PJHxphWEs.wav"

    def test_labels_are_found_by_their_ids_and_may_have_commas(self, root):
        first, last = self.opened(root).clips("train")
        assert (first.id, first.labels) == ("--PJHxphWEs", ("Speech", "Gush"))
        assert (last.id, last.labels) == ("Y0aaaaaaaaa", ("Male speech, man speaking",))
        assert (first.start_s, first.duration_s) == (0.0, None)

    def test_files_that_are_missing_are_counted(self, root):
        assert [item.key for item in self.opened(root).missing] == ["--ZhevVpy1s", "007P6bFgRCU"]

    def test_data_check_counts_them_too(self, root, capsys):
        if "audioset" not in Catalog.installed().datasets.entries:
            pytest.skip("the plugin is not installed, only importable")
        config = CONFIGS / self.recipe
        assert main(["data", "check", "-c", str(config), "--workers", "0", f"data.params.root={root}"]) == 2
        lines = capsys.readouterr().out.splitlines()
        assert "listed clips without a file: 2" in lines
        assert "unreadable: 3" in lines  # files of no bytes

    def test_the_lists_may_stand_in_metadata_and_the_sounds_in_audios(self, root):
        (root / "metadata").mkdir()
        for path in root.glob("*.csv"):
            path.rename(root / "metadata" / path.name)
        before = [clip.id for clip in self.opened(root).clips("train")]
        (root / "audio").rename(root / "audios")
        assert [clip.id for clip in self.opened(root).clips("train")] == before

    @pytest.mark.parametrize(
        ("row", "said"),
        [
            ('abcdefghijk, 0, 10, "/m/09x0r,/m/none"', "unknown label '/m/none'"),
            ('abc, 0, 10, "/m/09x0r"', "YTID is 'abc'"),
            ('../efghijk, 0, 10, "/m/09x0r"', "YTID is '../efghijk'"),
            ("abcdefghijk, 0, 10, /m/09x0r,/t/dd00088", "5 values for 4 columns"),
            ("abcdefghijk; 0; 10; x", "1 values for 4 columns"),
        ],
    )
    def test_a_row_that_does_not_fit_is_refused_with_its_line(self, root, row, said):
        write(root / f"{BALANCED}.csv", [*COMMENTS, row])
        assert self.refusal(root).startswith(f"{root}/{BALANCED}.csv:4: {said}")

    def test_another_list_to_train_on_is_refused(self, root):
        said = self.refusal(root, train="balance")
        assert said.startswith("data.params.train is 'balance'\n  allowed: unbalanced, both, balanced")


class TestUnbalanced(Lists):
    params = {"train": "unbalanced"}
    tables = {LABELS: "mid", **{f"{name}.csv": "" for name in VIDEOS}}
    counts = {"train": 2, "valid": 2, "test": 1}
    a_sound = f"audio/{UNBALANCED}/{UNBALANCED}_part01/---2_BBVHAA.mp3"

    def test_a_sound_that_is_not_there_is_refused_or_counted(self, root):
        (root / self.a_sound).unlink()
        assert "---2_BBVHAA" in [item.key for item in self.opened(root).missing]

    def test_sounds_are_found_in_the_folders_of_parts(self, root):
        assert [clip.source.parent.name[-6:] for clip in self.opened(root).clips("train")] == ["part00", "part01"]

    def test_with_both_lists_the_evaluation_list_validates(self, root):
        clips = self.everything(root, train="both")
        assert {split: len(found) for split, found in clips.items()} == {"train": 4, "valid": 1}
