"""Folders of sounds: which clips are in which split, and what is refused."""

import numpy as np
import pytest
import soundfile

from pannsdist.builtin.folder import Folder, FolderParams
from pannsdist.contracts import UserError


def touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def two_classes(root, clips=10):
    names = [f"{label}/{number}.wav" for label in ("dog", "cat") for number in range(clips)]
    return touch(root, *names)


def folder(root, **params):
    return Folder(FolderParams(str(root), **params))


def ids(dataset, split):
    return [clip.id for clip in dataset.clips(split)]


def refusal(root, **params):
    with pytest.raises(UserError) as caught:
        folder(root, **params)
    return str(caught.value)


def test_folders_named_after_splits_are_the_splits(tmp_path):
    touch(tmp_path, "train/dog/b.wav", "train/cat/a.wav", "train/dog/a.WAV", "valid/cat/c.flac", "test/dog/d.ogg")
    dataset = folder(tmp_path)
    assert dataset.splits == ("train", "valid", "test")
    assert dataset.labels == ("cat", "dog")
    assert dataset.multi_label is False
    assert ids(dataset, "train") == ["train/cat/a.wav", "train/dog/a.WAV", "train/dog/b.wav"]
    assert ids(dataset, "test") == ["test/dog/d.ogg"]
    clip = dataset.clips("valid")[0]
    assert (clip.source, clip.labels, clip.start_s, clip.duration_s) == (
        tmp_path / "valid/cat/c.flac",
        ("cat",),
        0.0,
        None,
    )


def test_class_folders_are_divided_class_by_class(tmp_path):
    dataset = folder(two_classes(tmp_path))
    assert dataset.splits == ("train", "valid")
    assert sorted(ids(dataset, "train") + ids(dataset, "valid")) == sorted(
        f"{label}/{number}.wav" for label in ("cat", "dog") for number in range(10)
    )
    assert [clip.labels[0] for clip in dataset.clips("valid")] == ["cat", "cat", "dog", "dog"]


def test_the_share_is_rounded_up_but_leaves_one_clip_to_train(tmp_path):
    two_classes(tmp_path, clips=2)
    assert len(ids(folder(tmp_path, valid_fraction=0.01), "valid")) == 2
    assert len(ids(folder(tmp_path, valid_fraction=0.99), "train")) == 2


def test_the_share_is_not_a_clip_too_large_by_rounding(tmp_path):
    two_classes(tmp_path, clips=100)
    assert len(ids(folder(tmp_path, valid_fraction=0.07), "valid")) == 14


def test_a_class_of_one_clip_stays_in_train(tmp_path):
    touch(two_classes(tmp_path), "owl/a.wav")
    dataset = folder(tmp_path)
    assert "owl/a.wav" in ids(dataset, "train")
    assert dataset.labels == ("cat", "dog", "owl")


def test_the_split_depends_on_the_names_and_the_seed_alone(tmp_path):
    first = folder(two_classes(tmp_path / "one"))
    names = [f"{label}/{number}.wav" for label in ("cat", "dog") for number in reversed(range(10))]
    second = folder(touch(tmp_path / "elsewhere", *names))
    assert ids(first, "valid") == ids(second, "valid") == ["cat/5.wav", "cat/9.wav", "dog/3.wav", "dog/5.wav"]
    assert ids(first, "valid") != ids(folder(tmp_path / "one", seed=1), "valid")


def test_a_new_file_moves_at_most_one_other_clip_of_its_class(tmp_path):
    two_classes(tmp_path)
    for number in range(20):
        before = set(ids(folder(tmp_path), "valid"))
        name = f"dog/new{number}.wav"
        touch(tmp_path, name)
        changed = before ^ set(ids(folder(tmp_path), "valid")) - {name}
        assert len(changed) <= 1
        assert all(clip_id.startswith("dog/") for clip_id in changed)


def test_folders_inside_a_class_belong_to_it_and_hidden_files_do_not_count(tmp_path):
    touch(two_classes(tmp_path), "dog/big/old/x.mp3", "dog/._x.wav", "dog/.cache/y.wav", ".git/z.wav", "dog/notes.txt")
    dataset = folder(tmp_path)
    found = ids(dataset, "train") + ids(dataset, "valid")
    assert "dog/big/old/x.mp3" in found
    assert len(found) == 21


def test_real_sounds_are_listed_by_the_same_rules(tmp_path):
    two_classes(tmp_path)
    soundfile.write(tmp_path / "dog/real.wav", np.zeros(8, np.float32), 8000)
    assert "dog/real.wav" in ids(folder(tmp_path), "train") + ids(folder(tmp_path), "valid")


def test_a_class_named_like_a_split_is_a_class_when_it_holds_sounds(tmp_path):
    dataset = folder(touch(two_classes(tmp_path), "train/a.wav", "train/b.wav"))
    assert dataset.labels == ("cat", "dog", "train")


def test_an_unknown_split_is_refused(tmp_path):
    with pytest.raises(UserError, match="no split 'test'") as caught:
        folder(two_classes(tmp_path)).clips("test")
    assert "splits: train, valid" in str(caught.value)


def test_a_missing_or_empty_root_is_refused_by_name(tmp_path):
    assert f"{tmp_path / 'nowhere'} does not exist (data.params.root)" in refusal(tmp_path / "nowhere")
    assert f"{tmp_path} has no class folders" in refusal(tmp_path)
    (tmp_path / "file").touch()
    assert f"{tmp_path / 'file'} is not a folder (data.params.root)" in refusal(tmp_path / "file")
    assert "data.params.root is empty" in refusal("")


@pytest.mark.parametrize("fraction", [0.0, 1.0, -1.0, float("nan")])
def test_a_share_that_leaves_a_split_empty_is_refused(tmp_path, fraction):
    message = refusal(two_classes(tmp_path), valid_fraction=fraction)
    assert f"data.params.valid_fraction is {fraction}" in message
    assert "between 0 and 1" in message


def test_a_class_folder_without_sounds_is_refused_by_name(tmp_path):
    touch(two_classes(tmp_path), "owl/readme.txt")
    message = refusal(tmp_path)
    assert "class folder owl/" in message
    assert ".wav .flac .ogg .oga .opus .mp3 .aiff .aif .aifc" in message


def test_train_without_valid_is_refused(tmp_path):
    touch(tmp_path, "train/dog/a.wav", "train/cat/a.wav", "later/dog/b.wav")
    message = refusal(tmp_path)
    assert "has train/ with folders in it, but no valid/" in message
    assert "root/valid/CLASS/*.wav" in message


@pytest.mark.parametrize(
    ("train", "valid", "test"),
    [("training", "validation", "testing"), ("Train", "val", "TEST"), ("train", "dev", "test")],
)
def test_folders_with_other_usual_names_of_splits_are_the_splits(tmp_path, train, valid, test):
    touch(tmp_path, *(f"{split}/{label}/{split}.wav" for split in (train, valid, test) for label in ("dog", "cat")))
    found = folder(tmp_path)
    assert found.splits == ("train", "valid", "test")
    assert ids(found, "valid") == [f"{valid}/cat/{valid}.wav", f"{valid}/dog/{valid}.wav"]


def test_two_folders_of_one_split_are_refused(tmp_path):
    touch(tmp_path, *(f"{split}/{label}/a.wav" for split in ("train", "val", "valid") for label in ("dog", "cat")))
    message = refusal(tmp_path)
    assert "val/, valid/ in" in message
    assert "are all the split 'valid'\n  move them into one folder, valid/" in message


def test_a_folder_that_may_be_one_split_or_another_is_refused_by_what_to_call_it(tmp_path):
    touch(tmp_path, *(f"{split}/{label}/a.wav" for split in ("train", "valid", "eval") for label in ("dog", "cat")))
    message = refusal(tmp_path)
    assert "has audio in eval/, beside train/, valid/" in message
    assert "test for those scored at the end" in message
    touch(tmp_path / "two", *(f"{split}/{label}/a.wav" for split in ("train", "eval") for label in ("dog", "cat")))
    assert "'eval' may mean several" in refusal(tmp_path / "two")


def test_sounds_beside_the_splits_are_refused(tmp_path):
    touch(tmp_path, "train/dog/a.wav", "train/cat/a.wav", "valid/dog/b.wav", "eval/dog/b.wav", "docs/notes.txt")
    assert "has audio in eval/, beside train/, valid/" in refusal(tmp_path)


@pytest.mark.parametrize("loose", ["x.wav", "train/x.wav"])
def test_sounds_outside_class_folders_are_refused(tmp_path, loose):
    touch(tmp_path, "train/dog/a.wav", "train/cat/a.wav", "valid/dog/b.wav", loose)
    assert "belong to no class: 'x.wav' and 0 more" in refusal(tmp_path)


def test_a_single_class_is_refused(tmp_path):
    touch(tmp_path, "ESC/dog/a.wav", "ESC/cat/a.wav")
    message = refusal(tmp_path)
    assert "only one class folder, 'ESC'" in message
    assert "one level too high?" in message


def test_classes_of_one_clip_each_cannot_be_divided(tmp_path):
    assert "no class in" in refusal(two_classes(tmp_path, clips=1))


def test_a_link_to_a_sound_inside_the_root_is_a_clip(tmp_path):
    two_classes(tmp_path)
    (tmp_path / "dog/link.wav").symlink_to(tmp_path / "dog/1.wav")
    found = folder(tmp_path)
    assert "dog/link.wav" in ids(found, "train") + ids(found, "valid")


def test_links_that_lead_out_of_the_root_are_refused(tmp_path):
    root, outside = two_classes(tmp_path / "root"), touch(tmp_path / "outside", "x.wav")
    (root / "dog/link.wav").symlink_to(outside / "x.wav")
    message = refusal(root)
    assert "link dog/link.wav" in message
    assert f"leads out of it: {outside / 'x.wav'}" in message
    (root / "dog/link.wav").unlink()
    (root / "owl").symlink_to(outside)
    assert "link owl in" in refusal(root)


def test_links_to_folders_and_to_nothing_are_refused(tmp_path):
    two_classes(tmp_path)
    (tmp_path / "dog/again").symlink_to(tmp_path)
    assert "link dog/again" in refusal(tmp_path)
    assert "leads to a folder in it" in refusal(tmp_path)
    (tmp_path / "dog/again").unlink()
    (tmp_path / "dog/lost.wav").symlink_to(tmp_path / "gone.wav")
    assert "leads to nothing" in refusal(tmp_path)
    (tmp_path / "dog/lost.wav").unlink()
    (tmp_path / "dog/loop.wav").symlink_to("loop.wav")
    assert "link dog/loop.wav in " in refusal(tmp_path)


def test_a_root_that_is_a_link_itself_is_followed(tmp_path):
    two_classes(tmp_path / "real")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert ids(folder(tmp_path / "link"), "valid") == ids(folder(tmp_path / "real"), "valid")
