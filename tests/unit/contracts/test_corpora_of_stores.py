"""Corpora whose root is in a store are those of a folder on this machine."""

import object_server
import pytest

from pannsdist.contracts.corpora import Corpus, Listed, RootParams
from pannsdist.contracts.locations import location_of
from pannsdist.contracts.tables import csv_rows, file_rows
from pannsdist.runtime.errors import UserError
from pannsdist.runtime.stores import extras, objects
from pannsdist.runtime.stores.patience import PATIENCE

TABLE = "path,label,split\na.wav,dog,train\nb c.wav,cat,valid\n"


class Barks(Corpus):
    """`meta/list.csv` names files of `audio/`."""

    home = "https://example.org/barks"
    layout = "meta/list.csv and audio/"

    def listed(self):
        audio = self.found("sounds", "audio").name
        for row in csv_rows(self.found("meta/list.csv"), ("path", "label", "split")):
            yield Listed(row, f"{audio}/{row.required('path')}", (row.required("label"),), row.text("split"))

    def split_of(self, item):
        return item.part


class SomeBarks(Barks):
    """The same, where files may be missing."""

    skips_missing = True


FILES = {"meta/list.csv": TABLE.encode(), "audio/a.wav": b"a", "audio/b c.wav": b"bb"}


@pytest.fixture
def bucket(moto, tmp_path, monkeypatch):
    for name, value in {**moto.env, "PANNSDIST_HOME": str(tmp_path / "home"), PATIENCE: "20"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(objects, "_asked", {})
    monkeypatch.setattr(extras, "_opened", {})
    yield moto
    moto.clear()


def ids(corpus):
    return {split: [clip.id for clip in corpus.clips(split)] for split in corpus.splits}


def local(folder):
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return Barks(RootParams(str(folder)))


def test_a_corpus_in_a_bucket_is_listed_once(bucket, tmp_path):
    for name, content in FILES.items():
        bucket.put(f"top/{name}", content)
    bucket.asked.clear()
    corpus = Barks(RootParams("s3://sounds/top"))
    assert ids(corpus) == ids(local(tmp_path / "own"))
    assert bucket.lists == 1
    assert corpus.clips("valid")[0].source.open().read() == b"bb"


def test_a_missing_file_in_a_bucket_is_refused_or_counted(bucket):
    for name, content in list(FILES.items())[:2]:
        bucket.put(f"top/{name}", content)
    with pytest.raises(UserError, match="1 of 2 clips of the lists have no file in s3://sounds/top"):
        Barks(RootParams("s3://sounds/top"))
    with pytest.raises(UserError, match="no clip is left for 'valid'"):
        SomeBarks(RootParams("s3://sounds/top"))
    with pytest.raises(UserError, match=r"has no sounds or audio"):
        Barks(RootParams("s3://sounds/elsewhere"))


def test_a_name_that_leads_out_of_the_bucket_is_refused(bucket):
    bucket.put("top/meta/list.csv", TABLE.replace("a.wav", "../../x.wav").encode())
    bucket.put("top/audio/a.wav", b"a")
    with pytest.raises(UserError, match=r"list\.csv:2: path .* is outside of the root"):
        Barks(RootParams("s3://sounds/top"))


def test_folders_of_a_web_server_are_believed_and_their_files_are_asked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("PANNSDIST_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(objects, "_asked", {})
    with object_server.running() as server:
        for name, content in FILES.items():
            server.put(f"top/{name.replace('audio', 'sounds')}", content)
        corpus = Barks(RootParams(server.url("top")))
        assert sorted(clip.source.state().size_bytes for split in corpus.splits for clip in corpus.clips(split)) == [
            1,
            2,
        ]
        del server.content["top/meta/list.csv"]
        objects._asked.clear()
        with pytest.raises(UserError, match=r"has no meta/list\.csv"):
            Barks(RootParams(server.url("top")))


@pytest.mark.parametrize("pattern", ["*/*.wav", "**/*.wav", "Actor_*/*.wav", "noise/*.wav"])
def test_a_pattern_finds_in_a_bucket_what_it_finds_on_a_disk(bucket, tmp_path, pattern):
    for name in ("a.wav", "Actor_1/b.WAV", "noise/c.wav", "noise/deep/d.wav", ".git/e.wav", "noise/.f.wav", "x/g.ogg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
        bucket.put(f"top/{name}", b"a")
    found = [
        [row.text("path") for row in file_rows(root, pattern)] for root in (tmp_path, location_of("s3://sounds/top"))
    ]
    assert found[0] == found[1] != []
