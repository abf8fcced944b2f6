"""What the dataset `ravdess` makes of a download."""

import pytest
from corpus_tests import FoldedCorpusTests, touch
from pannsdist_ravdess import EMOTIONS, Ravdess


def name(actor, emotion, channel="01", intensity="01"):
    return f"Actor_{actor:02d}/03-{channel}-{emotion:02d}-{intensity}-01-01-{actor:02d}.wav"


def make_root(folder):
    """24 actors in eight emotions, and two songs of each, as where both downloads are unpacked in one place."""
    for actor in range(1, 25):
        touch(folder, (name(actor, emotion) for emotion in range(1, 9)))
        touch(folder, (name(actor, emotion, channel="02") for emotion in (1, 3)))
    return folder


def actor(clip):
    return int(clip.id[-2:])


class TestCorpus(FoldedCorpusTests):
    plugin = Ravdess
    recipe = "ravdess_cnn14.yaml"
    make_root = staticmethod(make_root)
    source_of = staticmethod(actor)
    counts = {"train": 18 * 8, "valid": 6 * 8}
    labels = EMOTIONS
    a_sound = "Actor_24/03-01-08-01-01-01-24.wav"

    def test_a_fold_is_six_actors_half_of_them_women(self, root):
        for fold in (1, 2, 3, 4):
            actors = {actor(clip) for clip in self.opened(root, valid_fold=fold).clips("valid")}
            assert len(actors) == 6
            assert sum(number % 2 == 0 for number in actors) == 3

    def test_the_emotion_is_the_third_number(self, root):
        clip = self.opened(root).clips("valid")[0]
        assert (clip.id, clip.labels) == ("03-01-01-01-01-01-01", ("neutral",))

    def test_songs_are_taken_where_they_are_asked_for(self, root):
        assert {clip.id[3:5] for clip in self.opened(root, vocal="song").clips("train")} == {"02"}
        assert len(self.opened(root, vocal="both").clips("valid")) == 6 * 10
        assert self.refusal(root, vocal="shout").startswith(
            "data.params.vocal is 'shout'\n  allowed: both, song, speech"
        )

    @pytest.mark.parametrize(
        "path",
        [
            "Actor_01/03-01-01-01-01-01-02.wav",
            "Actor_01/01-01-01-01-01-01-01.wav",
            "Actor_01/03-01-09-01-01-01-01.wav",
            "Actor_01/notes.wav",
        ],
    )
    def test_a_file_whose_name_does_not_fit_is_refused(self, root, path):
        touch(root, (path,))
        assert self.refusal(root).startswith(f"{root}/{path}: path is {path!r}")

    def test_a_25th_actor_is_refused(self, root):
        touch(root, (name(25, 1),))
        assert self.refusal(root).startswith(f"{root}/{name(25, 1)}: actor 25\n  there are 24")
