"""Recipes: found by name, extended, listed, and brought along by a wheel."""

import re
import subprocess
from pathlib import Path

import packing
import pytest

from pannsdist import settings
from pannsdist.cli.command_line import main
from pannsdist.registry import Catalog
from pannsdist.runtime.errors import SettingsError
from pannsdist.settings.recipe_files import recipes, soundscape_recipes

PROJECT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("name", sorted(recipes().keys() - {"base"}))
def test_every_recipe_loads_by_its_name_as_its_file_does(name):
    chosen, origin = settings.load(Path(f"recipe:{name}"))
    assert chosen == settings.load(PROJECT / "configs" / f"{name}.yaml")[0]
    assert origin.where("model.name").startswith("model.name in recipe:")
    assert chosen.name == name


def test_a_file_of_ones_own_extends_a_recipe(tmp_path):
    (tmp_path / "mine.yaml").write_text("base: recipe:tones_cnn6\ntrain: {epochs: 2}\n")
    chosen, origin = settings.load(tmp_path / "mine.yaml")
    assert (chosen.model.name, chosen.train.epochs, chosen.optimizer.name) == ("panns_cnn6", 2, "AdamW")
    assert origin.where("data.name") == "data.name in recipe:tones_cnn6"


@pytest.mark.parametrize("wrong", ["esc10_mn4", "../base", "", "/etc/passwd"])
def test_an_unknown_recipe_names_the_nearest(wrong):
    with pytest.raises(SettingsError) as caught:
        settings.load(Path(f"recipe:{wrong}"))
    assert f"unknown recipe {wrong!r}" in str(caught.value)
    assert ("closest: esc10_mn04." in str(caught.value)) == (wrong == "esc10_mn4")
    assert caught.value.command == "pannsdist config list"


@pytest.mark.parametrize("given", ["tones_cnn6", "configs/tones_cnn6.yaml"])
def test_what_is_not_there_but_is_called_like_a_recipe_points_at_it(given, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError, match="there is a recipe of that name: recipe:tones_cnn6\n"):
        settings.load(Path(given))


def test_all_recipes_are_listed_with_dataset_model_and_a_sentence(capsys):
    assert main(["config", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:3] == ["own_sounds", "folder", "panns_cnn6"]
    assert {line.split()[0] for line in lines} == recipes().keys() - {"base"}
    assert all(re.fullmatch(r"\S+ +\S+ +\S+ +[A-Z].*[.]", line) for line in lines)
    assert "Your own sounds: a folder with one subfolder per class." in lines[0]


def test_the_recipe_for_own_sounds_needs_a_root_and_no_more(tmp_path):
    chosen, origin = settings.load(Path("recipe:own_sounds"))
    params = Catalog.installed().datasets.find(chosen.data.name).load().Params
    with pytest.raises(SettingsError, match=r"data.params.root is not set\n.*data.params.root=VALUE"):
        settings.fill_params(params, chosen.data.params, origin, "data.params")
    chosen, origin = settings.load(Path("recipe:own_sounds"), [f"data.params.root={tmp_path}"])
    assert settings.fill_params(params, chosen.data.params, origin, "data.params").root == str(tmp_path)


def from_wheel(installed, folder, *arguments):
    command = [installed / "pannsdist", *arguments]
    environment = packing.clean_environment()
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_a_wheel_brings_every_recipe_and_the_command_finds_them_in_an_empty_folder(installed, tmp_path):
    done = from_wheel(installed, tmp_path, "config", "show", "-c", "recipe:demo", "train.epochs=2")
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert done.stdout == settings.to_yaml(settings.load(Path("recipe:demo"), ["train.epochs=2"])[0])
    folder = packing.site_of(installed) / "pannsdist" / "settings" / "recipes"
    brought = {path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.yaml")}
    assert brought == recipes().keys() | soundscape_recipes().keys()


def test_a_run_from_a_wheel_is_that_of_the_installed_script(installed, tmp_path):
    done = from_wheel(installed, tmp_path, "train", "-c", "recipe:demo", "--nproc", "2", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "batch      8 = 2 x 4\n" in done.stdout
    command = done.stdout.splitlines()[-1]
    assert (
        f" --nproc_per_node 2 --log_dir runs/demo/log {packing.site_of(installed)}/pannsdist/train.py -c recipe:demo"
        in command
    )
    assert list(tmp_path.iterdir()) == []
