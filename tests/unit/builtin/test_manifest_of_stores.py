"""A manifest on a web server is the same dataset as its copy on this machine."""

import object_server
import pytest

from pannsdist.builtin.manifest import Manifest, ManifestParams
from pannsdist.contracts import UserError
from pannsdist.runtime.stores import objects
from pannsdist.runtime.stores.patience import PATIENCE

TABLE = (
    "path,label,split,start\na.wav,dog,train,\ndeep/b.wav,cat,train,1.5\na.wav,dog,valid,0.5\ndeep/b.wav,cat,valid,\n"
)


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv("PANNSDIST_HOME", str(tmp_path / "home"))
    monkeypatch.setenv(PATIENCE, "20")
    monkeypatch.setattr(objects, "_asked", {})
    with object_server.running() as running:
        running.put("set/a.wav", b"aaa")
        running.put("set/deep/b.wav", b"bbbb")
        running.put("set/list.csv", TABLE.encode())
        yield running


def manifest(path, **params):
    return Manifest(ManifestParams(str(path), **params))


def described(dataset):
    return {
        split: [(clip.id, clip.labels, clip.start_s, clip.duration_s) for clip in dataset.clips(split)]
        for split in dataset.splits
    }


def refusal(server, table, **params):
    with pytest.raises(UserError) as caught:
        manifest(server.put("set/other.csv", table.encode()), **params)
    return f"{caught.value}\n{caught.value.right}"


@pytest.fixture
def local(tmp_path):
    folder = tmp_path / "set"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.wav").write_bytes(b"aaa")
    (folder / "deep" / "b.wav").write_bytes(b"bbbb")
    (folder / "list.csv").write_text(TABLE)
    return folder / "list.csv"


def test_it_has_the_clips_of_its_copy_on_this_machine(server, local):
    remote = manifest(server.url("set/list.csv"))
    assert described(remote) == described(manifest(local))
    assert [clip.source.state().size_bytes for clip in remote.clips("train")] == [3, 4]
    server.asked.clear()
    assert [clip.source.state().size_bytes for clip in remote.clips("valid")] == [3, 4]
    assert server.asked == [], "each object was asked for once"


def test_table_and_sounds_may_be_in_different_places(server, local):
    assert described(manifest(local, root=server.url("set"))) == described(manifest(local))
    assert described(manifest(server.url("set/list.csv"), root=str(local.parent))) == described(manifest(local))
    (local.parent / "labels.txt").write_text("cat\ndog\n")
    labels = server.put("set/labels.txt", b"dog\ncat\n")
    assert manifest(local, labels=labels).labels == ("dog", "cat")


def test_a_path_may_be_the_whole_url_of_a_file_below_the_root(server, local):
    table = TABLE.replace("a.wav", server.url("set/a.wav"))
    remote = manifest(server.put("set/whole.csv", table.encode()))
    assert described(remote) == described(manifest(local))
    local.write_text(table)
    with pytest.raises(UserError, match=r":2: path .* is a URL") as caught:
        manifest(local)
    assert "data.params.root is then the URL" in caught.value.right


def test_missing_objects_are_refused_with_their_lines(server):
    found = refusal(server, "path,label,split\na.wav,dog,train\nno.wav,dog,valid\n")
    assert "1 of 2 clips have no file" in found
    assert f"line 3: {server.url('set/no.wav')}" in found


@pytest.mark.parametrize("name", ["../x.wav", "/x.wav", "a/../../x.wav", "http://elsewhere.org/x.wav", "\\x.wav", ""])
def test_a_name_that_leads_out_of_the_root_is_refused(server, name):
    server.asked.clear()
    assert "is outside of" in refusal(server, f"path,label,split\na.wav,dog,train\n{name},dog,valid\n")
    assert not any("x.wav" in path for _, path, *_ in server.asked)


def test_a_table_that_is_not_there_says_where(server):
    with pytest.raises(UserError, match=r"set/none\.csv .*data\.params\.path"):
        manifest(server.url("set/none.csv"))


@pytest.mark.parametrize("division", [{"folds": 3, "valid_fold": 2}, {"valid_fraction": 0.3}])
def test_drawn_splits_do_not_depend_on_the_place(server, tmp_path, division):
    names = [f"{number}.wav" for number in range(40)]
    table = "".join(["path,label\n", *(f"{name},{'ab'[number % 2]}\n" for number, name in enumerate(names))])
    server.put("drawn/list.csv", table.encode())
    places = [server.url("drawn")]
    for folder in (tmp_path / "one", tmp_path / "two" / "deep"):
        folder.mkdir(parents=True)
        (folder / "list.csv").write_text(table)
        places.append(folder)
    for name in names:
        server.put(f"drawn/{name}", b"x")
        for folder in places[1:]:
            (folder / name).write_bytes(b"x")
    found = [described(manifest(f"{place}/list.csv", **division)) for place in places]
    assert found[0] == found[1] == found[2]
