"""What the dataset `gtzan` makes of a download and the lists of the fault-filtered split."""

import pytest
from corpus_tests import CorpusTests, touch, write
from pannsdist_gtzan import GENRES, Gtzan

LISTS = {"train": range(0, 3), "valid": range(10, 11), "test": range(20, 22)}


def make_root(folder):
    """Every genre in every list; each genre has a file that no list names, as most do."""
    for split, numbers in LISTS.items():
        names = [f"{genre}/{genre}.{number:05d}.wav" for genre in GENRES for number in numbers]
        write(folder / f"{split}_filtered.txt", names)
        touch(folder, (f"genres/{name}" for name in names))
    touch(folder, (f"genres/{genre}/{genre}.00099.wav" for genre in GENRES))
    return folder


class TestCorpus(CorpusTests):
    plugin = Gtzan
    recipe = "gtzan_cnn14.yaml"
    make_root = staticmethod(make_root)
    source_of = staticmethod(lambda clip: clip.source)
    tables = {f"{split}_filtered.txt": "" for split in LISTS}
    needed = ("genres",)
    counts = {"train": 30, "valid": 10, "test": 20}
    labels = GENRES
    a_sound = "genres/jazz/jazz.00020.wav"

    def test_the_folder_may_bear_the_name_of_a_later_copy(self, root):
        (root / "genres").rename(root / "genres_original")
        assert self.opened(root).clips("valid")[0].source == root / "genres_original" / "blues" / "blues.00010.wav"

    def test_a_clip_of_two_lists_is_refused_with_both_places(self, root):
        write(root / "test_filtered.txt", ["blues/blues.00000.wav"])
        said = self.refusal(root)
        assert said.startswith(f"{root}/test_filtered.txt:1: 'genres/blues/blues.00000.wav' has the id of a clip at ")
        assert f"{root}/train_filtered.txt:1" in said

    @pytest.mark.parametrize("name", ["blues.00001.wav", "blues/jazz.00001.wav", "../blues/blues.00001.wav", "a\tb"])
    def test_a_line_that_is_no_name_of_gtzan_is_refused(self, root, name):
        write(root / "valid_filtered.txt", ["jazz/jazz.00010.wav", name])
        assert self.refusal(root).startswith(f"{root}/valid_filtered.txt:2: path is {name!r}")

    def test_another_genre_is_refused(self, root):
        write(root / "valid_filtered.txt", ["polka/polka.00010.wav"])
        assert f"{root}/valid_filtered.txt:1: unknown label 'polka'" in self.refusal(root)
