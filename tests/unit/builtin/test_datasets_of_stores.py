"""Datasets whose files are on a web server or in S3 are those of a folder on this machine."""

import object_server
import pytest

from pannsdist.builtin.folder import Folder, FolderParams
from pannsdist.contracts import UserError
from pannsdist.contracts.locations import RemoteFile, location_of
from pannsdist.runtime.stores import objects
from pannsdist.runtime.stores.patience import PATIENCE
from pannsdist.runtime.stores.store import ObjectState, Part


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv("PANNSDIST_HOME", str(tmp_path / "home"))
    monkeypatch.setenv(PATIENCE, "1")
    monkeypatch.setattr(objects, "_asked", {})
    with object_server.running() as running:
        running.put("set/dog/a 1.wav", b"aaa")
        running.put("set/cat/b#.wav", b"bbbb")
        yield running


class Bucket:
    """A store in memory that lists: what the dataset does with a list, without a server."""

    lists = True

    def __init__(self, *names):
        self.content, self.listed = {name: name.encode() for name in names}, 0

    def state(self, url):
        return ObjectState(len(self.content[url.path]), "1")

    def fetch(self, url, state, start, end):  # noqa: ARG002 - the names are part of the call
        return Part(start, self.content[url.path][start:end])

    def listing(self, url):
        self.listed += 1
        above = f"{url.path}/" if url.path else ""
        for name, content in self.content.items():
            if name.startswith(above):
                yield name[len(above) :], ObjectState(len(content), "1")


@pytest.fixture
def bucket(monkeypatch):
    def made(*names):
        store = Bucket(*names)
        monkeypatch.setitem(objects._STORES, "s3", store)
        return store

    return made


def ids(dataset):
    return {split: [clip.id for clip in dataset.clips(split)] for split in dataset.splits}


def test_a_folder_on_a_web_server_cannot_be_listed(server):
    with pytest.raises(UserError, match="the dataset manifest reads it"):
        Folder(FolderParams(server.url("set")))


def test_class_folders_in_a_bucket_are_those_of_a_disk(bucket, tmp_path):
    names = [f"{label}/{number}.wav" for label in ("dog", "cat") for number in range(10)]
    names += ["dog/deep/x.flac", "dog/.hidden.wav", "dog/note.txt", "cat/film.mp4", ".git/a.wav"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    store = bucket(*(f"top/{name}" for name in names), "top/dog/", "other/y.wav")
    remote, local = Folder(FolderParams("s3://bucket/top/")), Folder(FolderParams(str(tmp_path)))
    assert ids(remote) == ids(local)
    assert remote.labels == local.labels
    assert {one.kind.what for one in remote.skipped} == {one.kind.what for one in local.skipped}
    assert store.listed == 1
    assert all(clip.source.known is not None for clip in remote.clips("train")), "the list tells sizes and versions"


def test_split_folders_in_a_bucket(bucket):
    bucket("train/dog/1.wav", "train/cat/2.wav", "valid/dog/3.wav", "valid/cat/4.wav")
    assert ids(Folder(FolderParams("s3://bucket"))) == {
        "train": ["train/cat/2.wav", "train/dog/1.wav"],
        "valid": ["valid/cat/4.wav", "valid/dog/3.wav"],
    }


def test_a_class_folder_without_a_sound_that_can_be_read_is_refused(bucket):
    bucket("dog/1.wav", "cat/2.m4a")
    with pytest.raises(UserError, match="has no audio"):
        Folder(FolderParams("s3://bucket"))


def test_a_source_goes_to_a_worker_with_its_state_and_shows_no_token(server):
    import pickle

    url = location_of(server.url("set/dog/a 1.wav?token=word-of-mine"))
    source = RemoteFile(url, RemoteFile(url).state())
    again = pickle.loads(pickle.dumps(source))
    assert again == source
    assert again.known == source.known
    assert "word-of-mine" not in f"{source} {source!r}"
