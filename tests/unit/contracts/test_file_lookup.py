"""A file is found by its name in another Unicode form; other differences are said with the file that there is."""

import json
import os
import unicodedata

import pytest

from pannsdist.builtin.manifest import Manifest, ManifestParams
from pannsdist.contracts.file_lookup import FileLookup, real_folder
from pannsdist.runtime.errors import UserError

CAFE, CAFE_NFD = (unicodedata.normalize(form, "café/dé.wav") for form in ("NFC", "NFD"))


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


@pytest.mark.parametrize(
    ("listed", "on_disk"), [(CAFE, CAFE_NFD), (CAFE_NFD, CAFE), ("\\xb9\\xb7/a.wav", "\udcb9\udcb7/a.wav")]
)
def test_the_same_name_written_in_another_way_is_found(tmp_path, listed, on_disk):
    touch(tmp_path, on_disk)
    assert FileLookup(tmp_path).find(listed) == tmp_path / on_disk
    (tmp_path / "clips.csv").write_text(
        f"path,label,split,id\n{listed},a,train,1\n{listed},b,valid,2\n", encoding="utf-8"
    )
    dataset = Manifest(ManifestParams(str(tmp_path / "clips.csv")))
    assert dataset.clips("train")[0].source == tmp_path / on_disk


def test_json_lines_of_python_hold_the_bytes_of_a_name_as_surrogates(tmp_path):
    name = "\udcb9\udcb7/a.wav"
    touch(tmp_path, name)
    rows = [{"path": name, "label": name[:2], "split": split, "id": f"{name}{split}"} for split in ("train", "valid")]
    rows.append({"path": name, "label": "other", "split": "train"})
    (tmp_path / "clips.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    dataset = Manifest(ManifestParams(str(tmp_path / "clips.jsonl")))
    assert dataset.labels == ("\\xb9\\xb7", "other")
    first, second = dataset.clips("train")
    assert (first.id, second.id) == ("\\xb9\\xb7/a.wavtrain", "\\xb9\\xb7/a.wav")
    assert first.source == second.source == tmp_path / name


def test_an_exact_name_goes_first_and_two_others_are_not_guessed(tmp_path):
    names = ("e\u0323\u0307.wav", "\u1eb9\u0307.wav", "\u0117\u0323.wav")  # one letter in three forms
    touch(tmp_path, *names[:2])
    files = FileLookup(tmp_path)
    assert files.find(names[0]) == tmp_path / names[0]
    assert files.find(names[1]) == tmp_path / names[1]
    assert files.find(names[2]) is None


@pytest.mark.parametrize(
    ("listed", "on_disk", "says"),
    [
        ("sub\\a.wav", "sub/a.wav", "there is 'sub/a.wav': paths are written with slashes"),
        ("C:\\data\\sub\\A.wav", "sub/a.wav", "there is 'sub/a.wav': paths are relative to the root"),
        ("data/sub/a.wav", "sub/a.wav", "there is 'sub/a.wav': paths are relative to the root"),
        ("a.wav", "a.WAV", "there is 'a.WAV': upper and lower case, or spaces, differ"),
        ("Sub/a.wav", "sub/a.wav", "there is 'sub/a.wav': upper and lower case"),
        ("a.wav", "a.wav ", "there is 'a.wav ': upper and lower case, or spaces, differ"),
        ("a.wav", "a.flac", "there is 'a.flac': its ending differs"),
        ("狗.wav", os.fsdecode("狗.wav".encode("gbk")), "the same name in gb18030; convmv -f gb18030 -t utf-8"),
        (
            "狗.wav",
            "狗.wav".encode("gbk").decode("cp437"),
            "the same name in gb18030; unpack the archive again: unzip -O",
        ),
        ("b.wav", "a.wav", ""),
    ],
)
def test_a_refusal_names_the_file_that_there_is(tmp_path, listed, on_disk, says):
    touch(tmp_path, on_disk)
    assert FileLookup(tmp_path).find(listed) is None
    assert says in FileLookup(tmp_path).hint(listed)
    assert bool(says) == bool(FileLookup(tmp_path).hint(listed))
    (tmp_path / "clips.csv").write_text(f"path,label,split\n{listed},a,train\n{listed},b,valid\n", encoding="utf-8")
    with pytest.raises(UserError, match="2 of 2 clips have no file, such as") as caught:
        Manifest(ManifestParams(str(tmp_path / "clips.csv")))
    assert f"line 2: {tmp_path / listed}{'; ' if says else ''}" in str(caught.value)
    assert says in str(caught.value)


def test_a_path_out_of_the_root_names_the_file_inside(tmp_path):
    touch(tmp_path, "sub/a.wav")
    (tmp_path / "clips.csv").write_text("path,label,split\n/data/sub/a.wav,a,train\n", encoding="utf-8")
    with pytest.raises(
        UserError, match=r"is outside of .*\n.*\n  there is 'sub/a.wav': paths are relative to the root"
    ):
        Manifest(ManifestParams(str(tmp_path / "clips.csv")))


def test_of_a_listed_name_that_is_no_file_the_reason_is_said(tmp_path):
    (tmp_path / "folder.wav").mkdir()
    (tmp_path / "itself.wav").symlink_to("itself.wav")
    os.mkfifo(tmp_path / "pipe.wav")
    rows = [f"{name},a,{split}" for split in ("train", "valid") for name in ("folder.wav", "itself.wav", "pipe.wav")]
    (tmp_path / "clips.csv").write_text("\n".join(["path,label,split", *rows, ""]), encoding="utf-8")
    with pytest.raises(UserError) as refused:
        Manifest(ManifestParams(str(tmp_path / "clips.csv")))
    for name, reason in {"folder": "a folder", "itself": "a link to nothing", "pipe": "no file"}.items():
        assert f"{name}.wav; it is {reason}\n" in refused.value.right


def test_in_place_of_a_linked_folder_the_root_beside_its_target_is_named(tmp_path):
    audio = tmp_path / "disk" / "esc 50" / "audio"
    audio.mkdir(parents=True)
    (audio / "a.wav").touch()
    root = tmp_path / "work"
    root.mkdir()
    (root / "audio").symlink_to(audio)
    said = real_folder(root / "audio" / "a.wav", root)
    assert said.startswith(f"{root / 'audio'} leads to {audio}\npoint data.params.root at the real folder, as ")
    assert f"'data.params.root={audio.parent}', or copy the files into it" in said
    (root / "b.wav").symlink_to(audio / "a.wav")
    assert "as data.params.root" not in real_folder(root / "b.wav", root)
