"""What the dataset `audioset_strong` makes of the published tables and of the files that somebody has."""

import pytest
from corpus_tests import EventCorpusTests, touch, write
from pannsdist_audioset_strong import NAMES, TABLES, AudioSetStrong

from pannsdist.contracts import Event

HEADER = "segment_id\tstart_time_seconds\tend_time_seconds\tlabel"
LABELS = ("/m/09x0r\tSpeech", "/m/053hz1\tCheering", "/m/07yv9\tVehicle horn, car horn, honking", "/t/dd00088\tGush")
TRAIN = (
    "b0RFKhbpFJA_30000\t0.000\t10.000\t/m/09x0r",
    "-2nhuJCQs9d_0\t2.627\t7.237\t/m/053hz1",
    "b0RFKhbpFJA_30000\t4.753\t5.720\t/m/07yv9",
    "gonegonegon_40000\t1.000\t2.000\t/m/09x0r",
)
VALID = (
    "onlyagushxx_0\t0.000\t1.000\t/t/dd00088",
    "s9d-2nhuJCQ_30000\t0.000\t1.000\t/t/dd00088",
    "s9d-2nhuJCQ_30000\t2.627\t7.237\t/m/053hz1",
)


def make_root(folder):
    """Both tables; sounds under several kinds of names; one that is gone; two events of an untrained label."""
    write(folder / NAMES, LABELS)
    write(folder / TABLES["train"], [HEADER, *TRAIN])
    write(folder / TABLES["valid"], [HEADER, *VALID])
    touch(folder, ("audio/unbalanced_train_segments/part00/Yb0RFKhbpFJA.wav", "audio/train/-2nhuJCQs9d_0_10.flac"))
    touch(folder, ("audio/eval_segments/s9d-2nhuJCQ_30.000.wav", "audio/eval_segments/Yonlyagushxx.mp3"))
    return folder


class TestAudioSetStrong(EventCorpusTests):
    plugin = AudioSetStrong
    name = "audioset_strong"
    params = {"overlaps": "refuse"}
    make_root = staticmethod(make_root)
    source_of = staticmethod(lambda clip: clip.id[:11])
    tables = {TABLES["train"]: "start_time_seconds", TABLES["valid"]: "end_time_seconds", NAMES: ""}
    needed = ("audio",)
    counts = {"train": 2, "valid": 2}
    labels = ("Cheering", "Speech", "Vehicle horn, car horn, honking")
    a_sound = "audio/eval_segments/Yonlyagushxx.mp3"

    def test_a_sound_that_is_not_there_is_refused_or_counted(self, root):
        (root / self.a_sound).unlink()
        assert "onlyagushxx_0" in [item.key for item in self.opened(root).missing]

    def test_segments_have_their_events_by_display_name(self, root):
        first, second = self.opened(root).clips("train")
        assert first.id == "b0RFKhbpFJA_30000"
        assert first.source == root / "audio/unbalanced_train_segments/part00/Yb0RFKhbpFJA.wav"
        assert first.events == (Event(0.0, 10.0, "Speech"), Event(4.753, 5.72, "Vehicle horn, car horn, honking"))
        assert second.events == (Event(2.627, 7.237, "Cheering"),)
        assert [item.key for item in self.opened(root).missing] == ["gonegonegon_40000"]

    def test_evaluated_events_of_labels_that_are_not_trained_are_left_out_and_their_segments_stay(self, root):
        first, second = self.opened(root).clips("valid")
        assert (first.id, first.events, first.labels) == ("onlyagushxx_0", (), ())
        assert second.events == (Event(2.627, 7.237, "Cheering"),)

    def test_overlaps_are_merged_by_default(self, root):
        write(root / TABLES["train"], [HEADER, *TRAIN, "b0RFKhbpFJA_30000\t5.000\t6.000\t/m/07yv9"])
        assert f"{root / TABLES['train']}:6: 'Vehicle horn" in self.refusal(root)
        merged = AudioSetStrong(AudioSetStrong.Params(str(root))).clips("train")[0]
        assert merged.events[1] == Event(4.753, 6.0, "Vehicle horn, car horn, honking")

    def test_the_tables_may_stand_in_metadata_or_strong(self, root):
        for place in ("metadata", "strong"):
            before = self.everything(root)
            (root / place).mkdir()
            for path in [*root.glob("*.tsv"), *root.glob("metadata/*.tsv")]:
                path.rename(root / place / path.name)
            assert self.everything(root) == before

    @pytest.mark.parametrize(
        ("row", "said"),
        [
            ("abcdefghijk_0\t1\t2\t/m/none", "unknown label '/m/none'"),
            ("abcdefghijk\t1\t2\t/m/09x0r", "segment_id is 'abcdefghijk'"),
            ("../efghijk_0\t1\t2\t/m/09x0r", "segment_id is '../efghijk_0'"),
            ("abcdefghijk_0\t2\t1\t/m/09x0r", "the offset, 1 s, is not after the onset, 2 s"),
            ("abcdefghijk_0\tx\t1\t/m/09x0r", "start_time_seconds is 'x'"),
        ],
    )
    def test_a_row_that_does_not_fit_is_refused_with_its_line(self, root, row, said):
        write(root / TABLES["train"], [HEADER, row])
        assert self.refusal(root).startswith(f"{root / TABLES['train']}:2: {said}")
