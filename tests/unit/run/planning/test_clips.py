"""The clips of any dataset are checked by the plan: what cannot be trained is refused, what may be wrong is noted."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
from small_parts import tone

from pannsdist import settings
from pannsdist.contracts import Clip, NoParams
from pannsdist.contracts.clip_lists import ClipList
from pannsdist.registry import Entry, Origin
from pannsdist.registry.building import Part
from pannsdist.run.planning.data import load_data, load_train_and_valid
from pannsdist.runtime.errors import BadDataset
from pannsdist.settings import SettingsOrigin
from pannsdist.settings.schema import SelectSettings, Settings

LABELS = ("cat", "dog", "owl")


@pytest.fixture(autouse=True, params=["clips", "columns"])
def kept(request, monkeypatch):
    """As what the plugin has its clips: the checks and their words are the same."""
    monkeypatch.setattr(Anyones, "are_columns", request.param == "columns")
    return request.param


class Anyones:
    """A dataset plugin of somebody else, which checks nothing."""

    are_columns = False

    def __init__(self, splits, labels=LABELS, multi_label=False):
        self.labels, self.multi_label, self.splits, self._clips = labels, multi_label, tuple(splits), splits

    def clips(self, split):
        return ClipList.of(self._clips[split]) if self.are_columns else self._clips[split]


def part(*arguments, **named):
    origin = Origin("somebodys-sounds", "2.0")
    return Part(Entry("dataset", "anyones", origin, "nowhere:Anyones"), NoParams(), Anyones(*arguments, **named))


def clip(name, *labels, source=None, start_s=0.0, duration_s=None):
    return Clip(name, source or tone(440.0), labels, start_s, duration_s)


def good(**more):
    """Two clips of each class to train, one to evaluate."""
    train = [clip(f"{label}{number}", label) for label in LABELS for number in (0, 1)]
    return {"train": train, "valid": [clip(f"{label}9", label) for label in LABELS], **more}


def planned(splits, is_tested=True, **named):
    chosen = replace(Settings(), select=SelectSettings(test=is_tested))
    return load_train_and_valid(part(splits, **named), chosen, SettingsOrigin())


def refusal(splits, load=planned, **named):
    with pytest.raises(BadDataset) as caught:
        load(splits, **named)
    return str(caught.value)


def everything(splits, **named):
    """All splits, as `data check` loads them."""
    return load_data(part(splits, **named))


def test_good_clips_are_accepted_without_a_note():
    assert planned(good()).notes == ()
    assert everything(good(test=[clip("x", "owl")])).splits.keys() == {"train", "valid", "test"}


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("load", [planned, everything])
def test_a_class_that_is_evaluated_and_never_trained_is_refused(load, multi_label):
    splits = good(train=[clip("a", "cat"), clip("b", "dog"), clip("c", "cat")])
    said = refusal(splits, load, multi_label=multi_label)
    assert said.startswith("class 'owl' is in valid, but not in train\n  a network cannot learn a class without clips")
    assert "pannsdist plugins show dataset anyones" in said


def test_many_such_classes_are_counted_and_a_few_named():
    labels = tuple("abcdefgh")
    splits = {"train": [clip("1", "a")], "valid": [clip(f"v{label}", label) for label in labels]}
    assert refusal(splits, labels=labels).startswith("7 classes ('b', 'c', 'd', 'e', 'f', ...) are in valid, but not")


def test_a_class_of_the_test_split_alone_is_refused_unless_that_split_is_left_out():
    splits = good(train=[clip("a", "cat"), clip("b", "dog")], valid=[clip("v", "dog")], test=[clip("t", "owl")])
    assert refusal(splits, everything).startswith("class 'owl' is in test, but not in train")
    assert "a run without that split: select.test=false" in refusal(splits)
    assert planned(splits, is_tested=False).notes[0] == "class 'owl' is listed without any clip"


def test_the_clips_of_the_test_split_are_loaded_apart_and_in_no_other_split():
    splits = {"train": [clip("a", "cat"), clip("b", "dog")], "valid": [clip("v", "dog")], "test": [clip("t", "cat")]}
    data = planned(splits)
    assert list(data.splits) == ["train", "valid"]
    assert [one.id for one in data.test.clips] == ["t"]
    for split, name in (("train", "a"), ("valid", "v")):
        leaked = {**splits, "test": [*splits[split][:1], clip("t", "cat")]}
        assert refusal(leaked).startswith(f"1 clips are in both {split} and test, such as '{name}'")


def test_a_split_alone_is_loaded_without_the_others():
    splits = good(train=[clip("a", "cat")])
    assert list(load_data(part(splits), ("valid",)).splits) == ["valid"]


def test_classes_that_may_be_a_mistake_are_noted():
    splits = {"train": [clip("a", "cat"), clip("b", "dog"), clip("c", "dog")], "valid": [clip("v", "dog")]}
    assert planned(splits).notes == (
        "class 'owl' is listed without any clip",
        "class 'cat' is in train, but not in valid",
        "class 'cat' is in train with a single clip",
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"id": ""}, "has a clip with the id ''"),
        ({"id": 7}, "has a clip with the id 7"),
        ({"id": "cat0"}, "1 duplicate ids, such as 'cat0'"),
        ({"id": "dog9"}, "1 clips are in both train and valid, such as 'dog9'"),
        ({"labels": ("bat",)}, "is labelled ('bat',)"),
        ({"labels": ()}, "is labelled ()"),
        ({"labels": ("cat", "dog")}, "is labelled ('cat', 'dog')"),
        ({"start_s": -0.1}, "starts at -0.1 s"),
        ({"start_s": math.nan}, "starts at nan s"),
        ({"start_s": math.inf}, "starts at inf s"),
        ({"duration_s": 0.0}, "lasts 0.0 s"),
        ({"duration_s": math.nan}, "lasts nan s"),
    ],
)
def test_a_clip_that_cannot_be_used_is_refused(change, said, kept):
    if kept == "columns" and math.isnan(change.get("duration_s", 0.0)):
        pytest.skip("in columns that is the end of the file")
    splits = good()
    splits["train"][1] = replace(splits["train"][1], **change)
    assert said in refusal(splits)


def test_a_label_may_be_given_once_to_a_clip():
    splits = good()
    splits["valid"][0] = replace(splits["valid"][0], labels=("cat", "cat"))
    assert "is labelled ('cat', 'cat')" in refusal(splits, multi_label=True)


@pytest.mark.parametrize("name", ["train", "valid"])
def test_an_empty_split_is_refused(name):
    assert refusal(good(**{name: []})).startswith(f"split '{name}' of dataset anyones (somebodys-sounds 2.0) is empty")


@pytest.mark.parametrize(
    ("labels", "multi_label", "said"),
    [
        ((), True, "has 0 label(s)"),
        (("cat",), False, "has 1 label(s): cat"),
        (("cat", "dog", "cat"), False, "lists the label 'cat' twice"),
        (("cat", ""), False, "has the label ''"),
        (("cat", 3), False, "has the label 3"),
    ],
)
def test_a_list_of_labels_that_no_classifier_has_is_refused(labels, multi_label, said):
    assert said in refusal(good(), labels=labels, multi_label=multi_label)


def test_one_label_is_enough_where_a_clip_may_have_several():
    splits = {"train": [clip("a", "cat"), clip("b")], "valid": [clip("c", "cat"), clip("d")]}
    assert planned(splits, labels=("cat",), multi_label=True).labels == ("cat",)


SOUND = Path("/sounds/long.wav")


@pytest.mark.parametrize(
    ("train", "valid", "is_leak"),
    [
        ((0.0, None), (0.0, None), True),
        ((0.0, 2.0), (2.0, 2.0), False),
        ((2.0, 2.0), (0.0, 2.0), False),
        ((0.0, 2.0), (1.9, 2.0), True),
        ((1.9, 2.0), (0.0, 2.0), True),
        ((0.0, 9.0), (3.0, 1.0), True),
        ((5.0, None), (0.0, 5.0), False),
        ((5.0, None), (0.0, 5.1), True),
    ],
)
def test_the_same_sound_under_two_names_is_a_leak(train, valid, is_leak):
    splits = good()
    for name, label, (start_s, duration_s) in (("train", "cat", train), ("valid", "dog", valid)):
        splits[name].append(clip(f"{name} part", label, source=SOUND, start_s=start_s, duration_s=duration_s))
    if is_leak:
        said = refusal(splits)
        assert said.startswith(
            f"clip 'train part' of train and clip 'valid part' of valid are the same sound of {SOUND}"
        )
    else:
        planned(splits)


def test_overlapping_clips_of_one_split_are_no_leak():
    splits = good()
    splits["train"] += [clip(f"{start}", "cat", source=SOUND, start_s=start, duration_s=2.0) for start in (0.0, 1.0)]
    splits["valid"] += [clip("v", "cat", source=SOUND, start_s=3.0, duration_s=2.0)]
    planned(splits)


def test_the_manifest_and_the_folder_are_checked_by_the_same_rule(tmp_path):
    """The plugins do not repeat it: they list the same clips, and get the same answer."""
    from pannsdist.builtin.folder import Folder, FolderParams
    from pannsdist.builtin.manifest import Manifest, ManifestParams

    names = ("train/cat/a.wav", "train/dog/a.wav", "valid/dog/b.wav", "valid/owl/b.wav")
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    rows = [f"{name},{name.split('/')[1]},{name.split('/')[0]}\n" for name in names]
    (tmp_path / "list.csv").write_text("path,label,split\n" + "".join(rows), encoding="utf-8")
    found = (Folder(FolderParams(str(tmp_path))), Manifest(ManifestParams(str(tmp_path / "list.csv"))))
    for plugin in found:
        with pytest.raises(BadDataset, match="class 'owl' is in valid, but not in train"):
            load_train_and_valid(replace(part({}), plugin=plugin), Settings(), settings.SettingsOrigin())
