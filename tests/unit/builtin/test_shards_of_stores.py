"""A pack on a web server is the same dataset as its copy on this machine."""

import json
import shutil

import calling
import numpy as np
import object_server
import pytest
import soundfile

from pannsdist.audio.clip_reader import ClipReader
from pannsdist.builtin.shards import Shards, ShardsParams
from pannsdist.contracts import UserError
from pannsdist.runtime.errors import CannotRead
from pannsdist.runtime.stores import objects
from pannsdist.runtime.stores.patience import PATIENCE

READER = ClipReader(8000, 1000)


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """Ten sounds in folds, packed into several shards; one is longer than what is read at once."""
    work = tmp_path_factory.mktemp("packed")
    generator = np.random.default_rng(0)
    for number in range(10):
        seconds = 80 if number == 4 else 0.5
        soundfile.write(work / f"{number}.wav", generator.uniform(-0.5, 0.5, int(seconds * 8000)), 8000)
    rows = "".join(f"{number}.wav,{'ab'[number % 2]},{number % 3 + 1}\n" for number in range(10))
    (work / "list.csv").write_text(f"path,label,fold\n{rows}")
    data = "{name: manifest, params: {path: list.csv, valid_fold: 1}}"
    (work / "c.yaml").write_text(f"{{name: c, model: {{name: panns_cnn6}}, data: {data}}}")
    done = calling.pannsdist("data", "pack", "-c", "c.yaml", "-o", "pack", "--size", "20KB", "--workers", "0", cwd=work)
    assert done.exit_code == 0, str(done)
    return work / "pack"


@pytest.fixture
def server(packed, tmp_path, monkeypatch):
    monkeypatch.setenv("PANNSDIST_HOME", str(tmp_path / "home"))
    monkeypatch.setenv(PATIENCE, "20")
    monkeypatch.setattr(objects, "_asked", {})
    with object_server.running() as running:
        for path in packed.iterdir():
            running.put(f"pack/{path.name}", path.read_bytes())
        yield running


def read(dataset):
    return {clip.id: READER.read(clip, None).tobytes() for split in dataset.splits for clip in dataset.clips(split)}


@pytest.mark.parametrize("fold", [0, 2])
def test_it_has_the_clips_and_samples_of_its_copy_on_this_machine(server, packed, fold):
    remote, local = Shards(ShardsParams(server.url("pack"), fold)), Shards(ShardsParams(str(packed), fold))
    assert read(remote) == read(local)
    assert Shards.folds(ShardsParams(server.url("pack"))) == (1, 2, 3)
    first = remote.clips("train")[0]
    assert first.source.state() == local.clips("train")[0].source.state()
    assert first.source.name.startswith(server.url("pack/"))


def test_a_missing_or_shortened_shard_is_refused_before_the_run(server):
    names = sorted(name for name in server.content if name.endswith(".tar"))
    del server.content[names[0]]
    server.content[names[1]] = server.content[names[1]][:-1]
    with pytest.raises(UserError, match=r"2 of .* shards are not as") as refused:
        Shards(ShardsParams(server.url("pack")))
    assert "is missing" in refused.value.right


def test_a_url_without_a_pack_and_another_table_are_refused(server, packed):
    with pytest.raises(UserError, match="is no pack"):
        Shards(ShardsParams(server.url("elsewhere")))
    header = json.loads((packed / "pack.json").read_text())
    server.content["pack/pack.json"] = json.dumps({**header, "sha256": "0"}).encode()
    with pytest.raises(UserError, match=r"http://.*/pack\.json is damaged"):
        Shards(ShardsParams(server.url("pack")))
    server.content["pack/pack.json"] = (packed / "pack.json").read_bytes()
    server.content["pack/clips.npz"] = server.content["pack/clips.npz"][:-3]
    with pytest.raises(UserError, match=r"clips\.npz is damaged"):
        Shards(ShardsParams(server.url("pack")))


def test_a_shard_that_changes_after_the_start_ends_the_run(server, tmp_path):
    dataset = Shards(ShardsParams(server.url("pack")))
    shutil.rmtree(tmp_path / "home", ignore_errors=True)
    for name in [name for name in server.content if name.endswith(".tar")]:
        server.content[name] = server.content[name][::-1]
    with pytest.raises(CannotRead, match="cannot be read"):
        read(dataset)
