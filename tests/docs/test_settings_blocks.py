"""Every block of settings on a page is accepted: its keys by the schema, its params by the plugin that it names."""

import pytest
from snippets import all_snippets
from table import SETTINGS

from pannsdist import settings
from pannsdist.registry import Catalog
from pannsdist.run.soundscapes.recipe import load_recipe
from pannsdist.runtime.errors import SettingsError

SOUNDSCAPES = "soundscapes:"
"""How a recipe of `pannsdist data mix` begins, in place of settings."""
WRITTEN = [snippet for snippet in all_snippets() if snippet.language == SETTINGS]
BLOCKS = [snippet for snippet in WRITTEN if not snippet.text.startswith(SOUNDSCAPES)]
RECIPES = [snippet for snippet in WRITTEN if snippet.text.startswith(SOUNDSCAPES)]
OF_THE_READER = ("f_beta", "lion", "restarts")
"""Plugins that a page has the reader write."""


@pytest.mark.parametrize("snippet", BLOCKS, ids=lambda snippet: f"{snippet.page}:{snippet.line}")
def test_the_settings_are_accepted(snippet, tmp_path):
    file = tmp_path / "settings.yaml"
    file.write_text(f"base: recipe:demo\n{snippet.text}", encoding="utf-8")
    chosen, origin = settings.load(file)
    catalog = Catalog.installed()
    single = ((catalog.models, "model"), (catalog.features, "feature"), (catalog.datasets, "data"))
    named = [(kind, getattr(chosen, key).name, getattr(chosen, key).params, f"{key}.params") for kind, key in single]
    for kind, key in ((catalog.augmentations, "augment"), (catalog.trackers, "trackers"), (catalog.metrics, "metrics")):
        named += [(kind, name, params, f"{key}.{name}") for name, params in getattr(chosen, key).items()]
    for kind, name, params, prefix in named:
        if name and params is not None and name not in OF_THE_READER:
            assert settings.fill_params(kind.find(name).load().Params, params, origin, prefix)


@pytest.mark.parametrize("snippet", RECIPES, ids=lambda snippet: f"{snippet.page}:{snippet.line}")
def test_the_recipe_is_accepted(snippet, tmp_path):
    file = tmp_path / "recipe.yaml"
    file.write_text(snippet.text, encoding="utf-8")
    assert load_recipe(file).recipe.splits


def test_a_key_that_no_plugin_has_is_noticed(tmp_path):
    assert BLOCKS
    file = tmp_path / "settings.yaml"
    file.write_text("base: recipe:demo\nfeature: {name: logmel, params: {mel: 3}}\n", encoding="utf-8")
    chosen, origin = settings.load(file)
    params = Catalog.installed().features.find("logmel").load().Params
    with pytest.raises(SettingsError, match="mel"):
        settings.fill_params(params, chosen.feature.params, origin, "feature.params")
