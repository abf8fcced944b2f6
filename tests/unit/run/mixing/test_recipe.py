"""Recipes: what is wrong in one is refused with its file and key before any sound is opened."""

from pathlib import Path

import pytest
from mixed_sounds import Isolated

from pannsdist.cli.command_line import main
from pannsdist.run.mixing.recipe import load_recipe
from pannsdist.runtime.errors import SettingsError
from pannsdist.settings.recipe_files import soundscape_recipes

WRONG = {
    "soundscapes={train: 0, valid: 0}": "the recipe makes no soundscapes",
    "soundscapes.train=-1": "soundscapes.train on the command line is -1",
    "soundscapes.test=3": "has no split 'test'",
    "soundscapes.a/b=3": "is no name of a split here",
    "sed=3": "unknown key sed on the command line",
    "events.snr=[const,3]": "closest: snr_db.",
    "events.snr_db=10": "events.snr_db on the command line",
    "events.snr_db=[const,100]": "allowed: numbers from -80 to 80",
    "events.count=[uniform,1,2.5]": "allowed: whole numbers from 0 to 1000",
    "events.count=[uniform,4,1]": "the lower limit comes first",
    "events.onset_s=[uniform,0,3]": "allowed: numbers from 0 to 2",
    "events.duration_s=[const,0]": "allowed: numbers from 0.01 to 3600",
    "events.source_time_s=[normal,1]": "write [normal, MEAN, STD]",
    "events.most_at_once=0": "allowed: 1 to 100",
    "events.fade_s=-1": "allowed: 0 to 1",
    "duration_s=0": "allowed: above 0, up to 3600",
    "rate_hz=fast": "rate_hz on the command line",
    "dtype=int24": "allowed: one of int16, float32",
    "background.noise=red": "allowed: one of white, pink, brown",
    "background.level_lufs=3": "allowed: -70 to 0",
    "background.sounds.train=/tmp": "soundscapes are made for train, valid",
    "background.sounds={train: /no/such, valid: /no/such}": "background.sounds.train",
    "trim.below_peak_db=0": "allowed: above 0, up to 120",
    "trim.label_gaps_s.cow=1": "has no such label",
    "trim.label_gaps_s.dog=-1": "trim.label_gaps_s.dog on the command line is -1",
    "labels=[cow]": "labels on the command line has 'cow', which",
    "data.name=foldr": "closest: folder",
    "data.params.roots=x": "closest: root",
    "data.on_bad_clip=ignore": "allowed: one of stop, skip",
}


@pytest.mark.parametrize("given", WRONG)
def test_it_is_refused_with_its_key(tmp_path, capsys, given):
    isolated = Isolated(tmp_path)
    assert isolated.mix(given) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and WRONG[given] in error, error
    assert not (tmp_path / "mixed").exists()


def test_the_file_that_set_a_key_is_named(tmp_path, capsys):
    isolated = Isolated(tmp_path)
    assert isolated.mix(changes={"events": {"snr_db": ["uniform", 20, 5]}}) == 2
    error = capsys.readouterr().err
    assert f"events.snr_db in {tmp_path / 'recipe.yaml'} is ['uniform', 20, 5]" in error
    assert "next: pannsdist data mix --keys" in error


def test_clips_with_several_labels_are_no_isolated_sounds(tmp_path, capsys):
    isolated = Isolated(tmp_path)
    table = "path,labels,split\ntrain/cat/0.wav,cat dog,train\ntrain/dog/0.wav,dog,train\nvalid/cat/0.wav,cat,valid\n"
    (tmp_path / "sounds" / "clips.csv").write_text(table)
    params = {"multi_label": True, "label_separator": " "}
    params = {"multi_label": True, "label_separator": " "}
    words = isolated.words(changes={"data": {"name": "manifest", "params": params}})
    words[-1] = f"data.params.path={tmp_path / 'sounds' / 'clips.csv'}"
    assert main(words) == 2
    assert "has 2 labels" in capsys.readouterr().err


@pytest.mark.parametrize("name", soundscape_recipes())
def test_the_recipes_that_come_along_are_valid(name):
    checked = load_recipe(Path(f"recipe:{name}"))
    assert checked.recipe.soundscapes == {"train": 480, "valid": 120}


def test_a_recipe_may_extend_another(tmp_path):
    (tmp_path / "mine.yaml").write_text("base: recipe:soundscapes/esc10\nseed: 3\n")
    checked = load_recipe(tmp_path / "mine.yaml")
    assert (checked.recipe.seed, checked.recipe.data.name) == (3, "esc50")


def test_settings_of_a_run_are_no_recipe():
    with pytest.raises(SettingsError, match=r"unknown key \w+ in recipe:\w+"):
        load_recipe(Path("recipe:tones_cnn6"))
