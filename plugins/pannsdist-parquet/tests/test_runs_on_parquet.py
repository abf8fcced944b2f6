"""Runs and checks of tables: the same bits as from loose files, and clips that cannot be read are counted or stop."""

import json

import pytest
from tables_of_sounds import NAMES, hub, loose, saved, sound, structs, table, write

import pannsdist
from pannsdist.cli.command_line import main
from pannsdist.registry import Catalog
from pannsdist.runtime.errors import CannotRead

SETTINGS = {
    "model": {"name": "panns_leenet11", "weights": ""},
    "train": {"epochs": 2, "batch_size": 2, "crop_s": 0.2},
    "valid": {"batch_size": 2},
    "trackers": {"visualdl": None},
}
pytestmark = pytest.mark.skipif(
    "parquet" not in [entry.name for entry in Catalog.installed().datasets], reason="the plugin is not installed"
)


def trained(name, data):
    """The weights and the scores of two epochs."""
    run = pannsdist.train({**SETTINGS, "name": name, "data": {**data, "workers": 0}})
    weights = (run.folder / "best_model" / "model.pdparams").read_bytes()
    lines = (run.folder / "scores.jsonl").read_text().splitlines()
    lines = [json.loads(line) for line in lines]
    return weights, [{key: line[key] for key in line if key.startswith(("train/loss", "valid/"))} for line in lines]


def test_two_epochs_are_those_of_loose_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = loose(tmp_path / "files")
    manifest = {"path": str(files / "clips.csv"), "labels": str(files / "labels.txt")}
    expected = trained("files", {"name": "manifest", "params": manifest})
    assert len(expected[1]) == 2
    for make in (hub, saved):
        root = str(make(tmp_path / make.__name__))
        assert trained(make.__name__, {"name": "parquet", "params": {"root": root}}) == expected


def settings_of(folder, root, **params):
    path = folder / "check.yaml"
    data = {"name": "parquet", "workers": 0, "params": {"root": str(root), **params}}
    path.write_text(json.dumps({**SETTINGS, "name": "check", "data": data}))
    return path


@pytest.mark.parametrize("make", [hub, saved])
def test_data_check_reads_every_clip(make, tmp_path, capsys):
    path = settings_of(tmp_path, make(tmp_path / "root"))
    assert main(["data", "check", "-c", str(path)]) == 0
    said = capsys.readouterr().out
    assert all(f"{NAMES[0]}" in said and word in said for word in ("train", "valid", "test"))


def test_data_check_names_what_is_no_sound(tmp_path, capsys):
    whole = sound(0)
    contents = [whole, b"no sound at all", whole[: len(whole) // 2], None, b"", sound(1), sound(2), sound(3)]
    made = table(range(8)).set_column(0, "audio", structs(contents, [f"{number}.wav" for number in range(8)]))
    write(tmp_path / "train.parquet", made)
    path = settings_of(tmp_path, tmp_path / "train.parquet", valid_fraction=0.5)
    assert main(["data", "check", "-c", str(path)]) == 2
    said = capsys.readouterr().out
    for part in ("1.wav", "2.wav", "its audio is null", "the file is empty"):
        assert part in said, said


def test_a_damaged_row_group_stops_a_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = hub(tmp_path / "root") / "data/train-00000-of-00002.parquet"
    content = path.read_bytes()
    path.write_bytes(content[:4] + bytes(100) + content[104:])
    with pytest.raises(CannotRead, match="is damaged"):
        trained("damaged", {"name": "parquet", "on_bad_clip": "skip", "params": {"root": str(tmp_path / "root")}})
