"""What the dataset `fsd50k` makes of a download."""

import pytest
from corpus_tests import CorpusTests, touch, write
from pannsdist_fsd50k import Fsd50k

DEV, EVAL, VOCABULARY = (f"FSD50K.ground_truth/{name}.csv" for name in ("dev", "eval", "vocabulary"))


def make_root(folder):
    """A vocabulary without a header; quoted lists of labels; an evaluation table without a split."""
    write(
        folder / VOCABULARY, ["0,Accelerating_and_revving_and_vroom,/m/07q2z82", "1,Animal,/m/0jbk", "2,Dog,/m/0bt9lr"]
    )
    write(
        folder / DEV,
        [
            "fname,labels,mids,split",
            '64760,"Dog,Animal","/m/0bt9lr,/m/0jbk",train',
            "16399,Accelerating_and_revving_and_vroom,/m/07q2z82,train",
            '236399,"Dog,Animal","/m/0bt9lr,/m/0jbk",val',
        ],
    )
    write(folder / EVAL, ["fname,labels,mids", '37199,"Dog,Animal","/m/0bt9lr,/m/0jbk"'])
    touch(folder, (f"FSD50K.dev_audio/{name}.wav" for name in ("64760", "16399", "236399")))
    touch(folder, ("FSD50K.eval_audio/37199.wav",))
    return folder


class TestCorpus(CorpusTests):
    plugin = Fsd50k
    recipe = "fsd50k_cnn14.yaml"
    make_root = staticmethod(make_root)
    source_of = staticmethod(lambda clip: clip.id)
    tables = {DEV: "split", EVAL: "labels", VOCABULARY: ""}
    needed = ("FSD50K.dev_audio", "FSD50K.eval_audio")
    counts = {"train": 2, "valid": 1, "test": 1}
    labels = ("Accelerating_and_revving_and_vroom", "Animal", "Dog")
    a_sound = "FSD50K.eval_audio/37199.wav"

    def test_a_clip_bears_all_its_labels(self, root):
        clip = self.opened(root).clips("train")[0]
        assert (clip.id, clip.labels) == ("64760", ("Dog", "Animal"))
        assert clip.source == root / "FSD50K.dev_audio" / "64760.wav"

    @pytest.mark.parametrize(
        ("row", "said"),
        [
            ("9,Dog,/m/0bt9lr,test", "split is 'test'\n  allowed: train, val"),
            ('9,"Dog,Wolf",x,train', "unknown label 'Wolf'"),
            ("9,,x,train", "labels is empty"),
            ("9,Dog,Animal,x,train", "5 values for 4 columns"),
            ("../9,Dog,x,train", "fname is '../9'"),
        ],
    )
    def test_a_row_that_does_not_fit_is_refused_with_its_line(self, root, row, said):
        with (root / DEV).open("a") as file:
            file.write(f"{row}\n")
        assert self.refusal(root).startswith(f"{root}/{DEV}:5: {said}")
