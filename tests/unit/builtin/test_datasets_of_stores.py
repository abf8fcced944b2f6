"""Datasets whose files are on a web server or in S3 are those of a folder on this machine."""

import object_server
import pytest

from pannsdist.builtin.folder import Folder, FolderParams
from pannsdist.contracts import UserError
from pannsdist.contracts.locations import RemoteFile, location_of
from pannsdist.runtime.stores import extras, objects
from pannsdist.runtime.stores.patience import PATIENCE


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv("PANNSDIST_HOME", str(tmp_path / "home"))
    monkeypatch.setenv(PATIENCE, "1")
    monkeypatch.setattr(objects, "_asked", {})
    with object_server.running() as running:
        running.put("set/dog/a 1.wav", b"aaa")
        running.put("set/cat/b#.wav", b"bbbb")
        yield running


@pytest.fixture
def bucket(moto, tmp_path, monkeypatch):
    """Fills the bucket `sounds` with objects of these names."""
    for name, value in {**moto.env, "PANNSDIST_HOME": str(tmp_path / "home"), PATIENCE: "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(objects, "_asked", {})
    monkeypatch.setattr(extras, "_opened", {})

    def filled(*names):
        for name in names:
            moto.put(name, name.encode())
        moto.asked.clear()
        return moto

    yield filled
    moto.clear()


def ids(dataset):
    return {split: [clip.id for clip in dataset.clips(split)] for split in dataset.splits}


def test_a_folder_on_a_web_server_cannot_be_listed(server):
    with pytest.raises(UserError, match="the dataset manifest reads it"):
        Folder(FolderParams(server.url("set")))


def test_class_folders_in_a_bucket_are_those_of_a_disk(bucket, tmp_path):
    names = [f"{label}/{number}.wav" for label in ("dog", "cat") for number in range(10)]
    names += ["dog/deep/x.flac", "dog/.hidden.wav", "dog/note.txt", "cat/film.mogg", ".git/a.wav"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    store = bucket(*(f"top/{name}" for name in names), "top/dog/", "other/y.wav")
    remote, local = Folder(FolderParams("s3://sounds/top/")), Folder(FolderParams(str(tmp_path)))
    assert ids(remote) == ids(local)
    assert remote.labels == local.labels
    assert {one.kind.what for one in remote.skipped} == {one.kind.what for one in local.skipped}
    assert store.lists == 1
    assert all(clip.source.known is not None for clip in remote.clips("train")), "the list tells sizes and versions"


def test_split_folders_in_a_bucket(bucket):
    bucket("train/dog/1.wav", "train/cat/2.wav", "valid/dog/3.wav", "valid/cat/4.wav")
    assert ids(Folder(FolderParams("s3://sounds"))) == {
        "train": ["train/cat/2.wav", "train/dog/1.wav"],
        "valid": ["valid/cat/4.wav", "valid/dog/3.wav"],
    }


def test_a_class_folder_without_a_sound_that_can_be_read_is_refused(bucket):
    bucket("dog/1.wav", "cat/2.aax")
    with pytest.raises(UserError, match="has no audio"):
        Folder(FolderParams("s3://sounds"))


def test_a_source_goes_to_a_worker_with_its_state_and_shows_no_token(server):
    import pickle

    url = location_of(server.url("set/dog/a 1.wav?token=word-of-mine"))
    source = RemoteFile(url, RemoteFile(url).state())
    again = pickle.loads(pickle.dumps(source))
    assert again == source
    assert again.known == source.known
    assert "word-of-mine" not in f"{source} {source!r}"
