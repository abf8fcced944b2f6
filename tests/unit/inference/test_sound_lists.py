"""Lists of sounds on standard input, and names that are given by hand."""

import io
import json
import os
import unicodedata

import pytest

from pannsdist.builtin.augmentations.noise import Noise, NoiseParams
from pannsdist.builtin.folder import Folder
from pannsdist.builtin.manifest import Manifest, ManifestParams
from pannsdist.cli.command_line import main
from pannsdist.contracts.corpora import Corpus
from pannsdist.inference.sounds import listed_names, sound_files
from pannsdist.runtime.errors import UserError


class Lists(Corpus):
    """A corpus without clips."""

    home, layout = "https://example.org", "lists"

    def listed(self):
        return []

    def split_of(self, _):
        return "train"


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (b"a.wav\nb.wav\n", ["a.wav", "b.wav"]),
        (b"\na.wav\n\n \t\nb.wav", ["a.wav", "b.wav"]),
        (b"\xef\xbb\xbfa.wav\r\nb.wav\r\n", ["a.wav", "b.wav"]),
        (b"a.wav\rb.wav\r", ["a.wav", "b.wav"]),
        ("a.wav\r\nb狗.wav\r\n".encode("utf-16"), ["a.wav", "b狗.wav"]),
        (b"a\nb.wav\0c.wav\0", ["a\nb.wav", "c.wav"]),
        (b"\xb9\xb7.wav\n", ["\udcb9\udcb7.wav"]),
        ("a\u2028b\x85c.wav\n".encode(), ["a\u2028b\x85c.wav"]),
        (b'"my a.wav"\n\'b.wav\'\n  c.wav  \n"\n', ["my a.wav", "b.wav", "c.wav", '"']),
        (b"# not a comment.wav\n", ["# not a comment.wav"]),
    ],
)
def test_a_list_has_one_name_on_each_line(tmp_path, monkeypatch, content, names):
    monkeypatch.chdir(tmp_path)
    assert listed_names(content) == names


def test_spaces_and_quotes_stay_where_a_file_has_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ['"a.wav"', " b.wav", "c.wav "]
    for name in names:
        (tmp_path / name).touch()
    assert listed_names("\n".join(names).encode()) == names


@pytest.mark.parametrize("content", [b"", b"\n", b"\r\n \n", b"\xef\xbb\xbf", b"\0\0", b"\xff\xfe"])
def test_an_empty_list_is_refused_and_not_the_current_folder(tmp_path, monkeypatch, capsys, content):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.wav").touch()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert main(["predict", "--model", "missing", "-"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(
        "error: standard input has no names\n  pipe names of sound files or folders, one on each line"
    )


def test_a_list_in_utf_16_without_a_mark_is_refused_with_how_to_convert():
    with pytest.raises(UserError, match=r"standard input has a zero byte after every character\n .* iconv -f UTF-16LE"):
        listed_names("a.wav\n".encode("utf-16-le"))


@pytest.mark.parametrize("name", ["", " ", "\t"])
def test_an_empty_name_is_not_the_current_folder(name):
    with pytest.raises(UserError, match="the name of a sound is empty"):
        sound_files([name])


def test_a_name_that_is_not_there_is_refused_with_what_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.WAV").touch()
    for name, says in {
        "sub/a.wav": "in sub there is 'a.WAV'",
        "Sub\\a.wav": "in . there is 'sub/a.WAV'",
        f"{tmp_path}/Sub/a.wav": f"in {tmp_path} there is 'sub/a.WAV'",
    }.items():
        with pytest.raises(UserError) as caught:
            sound_files([name])
        assert str(caught.value).startswith(f"there is no file {name}\n  {says}: ")


@pytest.mark.parametrize("name", ["x" * 300, "x" * 300 + "/a.wav", "a\0b.wav", "x" * 5000, "a.wav/b.wav"])
def test_a_name_that_no_file_can_have_is_refused(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.wav").touch()
    with pytest.raises(UserError, match="there is no file "):
        sound_files([name])
    splits = {"a": "train", "b": "valid"}
    rows = [json.dumps({"path": name, "label": label, "split": splits[label]}) for label in splits]
    (tmp_path / "clips.jsonl").write_text("\n".join(rows), encoding="utf-8")
    with pytest.raises(UserError, match="2 of 2 clips have no file"):
        Manifest(ManifestParams("clips.jsonl"))
    for dataset in (Folder, Lists):
        with pytest.raises(UserError, match=r"data\.params\.root"):
            dataset(dataset.Params(root=name))
    with pytest.raises(UserError, match=r"augment\.noise\.folder"):
        Noise(NoiseParams(kind="folder", folder=name))


def test_a_closed_standard_input_is_an_empty_list(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", None)
    assert main(["predict", "--model", "missing", "-"]) == 2
    assert capsys.readouterr().err.startswith("error: standard input has no names\n")


def test_a_name_in_another_normal_form_or_with_escapes_is_found(tmp_path):
    name, bytes_name = unicodedata.normalize("NFD", "é.wav"), os.fsdecode(b"\xb9.wav")
    for one in (name, bytes_name):
        (tmp_path / one).touch()
    assert sound_files([tmp_path / "é.wav", tmp_path / "\\xb9.wav"]).files == (tmp_path / name, tmp_path / bytes_name)
