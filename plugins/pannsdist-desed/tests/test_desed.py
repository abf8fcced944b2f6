"""What the dataset `desed` makes of the tables of the DCASE challenge and of the files that somebody has."""

import pytest
from corpus_tests import EventCorpusTests, touch, write
from pannsdist_desed import LABELS, Desed

from pannsdist.contracts import Event

STRONG = "filename\tonset\toffset\tevent_label"
SYNTHETIC = "metadata/train/synthetic21_train/soundscapes.tsv"
WEAK, UNLABELLED = "metadata/train/weak.tsv", "metadata/train/unlabel_in_domain.tsv"
VALID, PUBLIC = "metadata/validation/validation.tsv", "metadata/eval/public.tsv"
FILES = (
    "audio/train/synthetic21_train/soundscapes/0.wav",
    "audio/train/synthetic21_train/soundscapes/1.wav",
    "audio/train/weak/YKK227gPpRn4_30.000_40.000.wav",
    "audio/train/weak/Y-6p32k2WUCs_0.000_10.000.wav",
    "audio/train/unlabel_in_domain/Y--CE2f-ttEQ_30.000_40.000.wav",
    "audio/train/strong_label_real/Y07fghylishw_20.000_30.000.wav",
    "audio/validation/validation/Y00pbt6aJV8Y_350.000_360.000.wav",
    "audio/validation/validation/Y0BcvHTqf5h4_30.000_40.000.wav",
    "audio/eval/public/1Ro0FgMWTUE_120_130.wav",
)


def named(file):
    return file.rpartition("/")[2]


def make_root(folder):
    """Every kind of table in its published form, and every sound but one of the unlabelled."""
    rows = [f"{number}.wav\t0.{number}05\t{number + 1}.000\t{label}" for number, label in enumerate(LABELS[:2])]
    rows += [f"1.wav\t{place}.250\t{place}.750\t{label}" for place, label in enumerate(LABELS[2:])]
    write(folder / SYNTHETIC, [STRONG, *rows])
    weak = [f"{named(FILES[2])}\tSpeech,Alarm_bell_ringing", f"{named(FILES[3])}\tDog"]
    write(folder / WEAK, ["filename\tevent_labels", *weak])
    write(folder / UNLABELLED, ["filename", "Ygone2f-ttEQ_30.000_40.000.wav", named(FILES[4])])
    write(folder / "metadata/train/audioset_strong.tsv", [STRONG, f"{named(FILES[5])}\t0.163\t0.665\tDog"])
    write(folder / VALID, [STRONG, f"{named(FILES[7])}\t\t\t", f"{named(FILES[6])}\t0.000\t10.115\tVacuum_cleaner"])
    write(folder / PUBLIC, [STRONG, "1Ro0FgMWTUE_120_130.wav\t0.000\t2.081\tSpeech"])
    touch(folder, FILES)
    return folder


class TestDesed(EventCorpusTests):
    plugin = Desed
    name = "desed"
    make_root = staticmethod(make_root)
    source_of = staticmethod(lambda clip: clip.source.name)
    tables = {SYNTHETIC: "event_label", WEAK: "filename", UNLABELLED: "filename", VALID: "onset"}
    needed = ("audio/train/weak", "audio/validation/validation")
    counts = {"train": 5, "valid": 2}
    labels = LABELS
    a_sound = FILES[3]
    plan_params = {"train": ["synthetic21_train", "weak"]}

    def test_a_root_without_a_list_or_a_folder_is_refused_by_its_name(self, root):
        for name, said in ((SYNTHETIC, SYNTHETIC), (WEAK, WEAK), ("audio/train/weak", "audio/train/weak")):
            (root / name).rename(root.parent / "moved")
            assert said in self.refusal(root)
            (root.parent / "moved").rename(root / name)

    def test_strong_weak_and_unlabelled_clips_are_told_apart(self, root):
        clips = self.opened(root).clips("train")
        assert [clip.id.partition("/")[0] for clip in clips] == ["synthetic21_train"] * 2 + ["weak"] * 2 + [
            "unlabel_in_domain"
        ]
        assert clips[0].events == (Event(0.005, 1.0, "Alarm_bell_ringing"),)
        assert (clips[2].labels, clips[2].events) == (("Alarm_bell_ringing", "Speech"), None)
        assert (clips[4].labels, clips[4].is_labelled) == ((), False)
        assert [item.key for item in self.opened(root).missing] == ["unlabel_in_domain/Ygone2f-ttEQ_30.000_40.000"]

    def test_a_validation_clip_may_have_no_events_and_stays_in_the_order_of_the_table(self, root):
        first, second = self.opened(root).clips("valid")
        assert (first.events, first.labels) == ((), ())
        assert second.events == (Event(0.0, 10.115, "Vacuum_cleaner"),)

    def test_real_strong_labels_and_the_public_evaluation_are_chosen_by_name(self, root):
        clips = self.everything(root, train=["audioset_strong", "weak"], test="public")
        assert clips["train"][0].source == root / FILES[5]
        assert clips["test"][0].events == (Event(0.0, 2.081, "Speech"),)

    def test_overlaps_can_be_merged(self, root):
        name = named(FILES[6])
        write(root / VALID, [STRONG, f"{name}\t0\t2\tDog", f"{name}\t1\t3\tDog"])
        assert f"{root / VALID}:3: 'Dog' from 1 to 3 s of {name} overlaps" in self.refusal(root)
        assert self.opened(root, overlaps="merge").clips("valid")[0].events == (Event(0.0, 3.0, "Dog"),)

    @pytest.mark.parametrize(
        ("params", "said"),
        [
            ({"train": []}, "data.params.train is []"),
            ({"train": ["weak", "weak"]}, "data.params.train is ['weak', 'weak']"),
            ({"train": ["week"]}, "which has no metadata/train/week.tsv or metadata/train/week/soundscapes.tsv"),
            ({"test": "vimeo"}, "which has no metadata/eval/vimeo.tsv"),
        ],
    )
    def test_a_table_that_is_not_there_is_refused_by_name(self, root, params, said):
        assert said in self.refusal(root, **params)

    def test_another_label_is_refused_with_its_line(self, root):
        write(root / VALID, [STRONG, f"{named(FILES[6])}\t0\t2\tHorse"])
        assert self.refusal(root).startswith(f"{root / VALID}:2: unknown label 'Horse'")
