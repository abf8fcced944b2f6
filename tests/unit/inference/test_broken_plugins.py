"""A plugin that fails in inference is named with its distribution, as in training."""

import sys

import pytest
import small_parts
from small_parts import SmallModel, install, write_small_bundle

from pannsdist.inference.model import load_model
from pannsdist.runtime.errors import BrokenPlugin


class Failing(SmallModel):
    """A model whose constructor raises."""

    def __init__(self, params):  # noqa: ARG002
        raise ValueError("a mistake in the plugin")


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Load a model by its folder, or by its name, whose plugin `small` is the given target."""

    def loading(target, how):
        write_small_bundle(tmp_path / "best_model")
        install(tmp_path / "site", "small-parts", f"[pannsdist.models]\nsmall = {target}\n")
        monkeypatch.syspath_prepend(str(tmp_path / "site"))
        return load_model(tmp_path / "best_model" if how == "folder" else "small")

    return loading


@pytest.mark.parametrize("how", ["folder", "name"])
def test_a_constructor_that_raises_is_named_with_its_distribution(load, how, monkeypatch):
    monkeypatch.setitem(sys.modules, "failing_parts", sys.modules[__name__])
    with pytest.raises(BrokenPlugin) as caught:
        load("failing_parts:Failing", how)
    fault = "fails: ValueError: a mistake in the plugin (test_broken_plugins.py, line "
    assert caught.value.wrong.startswith(f"model plugin 'small' of small-parts 1.0 {fault}")
    assert caught.value.command == "pannsdist plugins check model small-parts:small"


@pytest.mark.parametrize("how", ["folder", "name"])
@pytest.mark.parametrize("target", ["no_such_module:Model", "small_parts:NoSuchClass", "small_parts:RATE_HZ"])
def test_a_plugin_that_cannot_be_imported_is_named_with_its_distribution(load, how, target):
    assert small_parts.RATE_HZ
    with pytest.raises(BrokenPlugin, match=r"^model plugin 'small' of small-parts 1\.0 is broken: "):
        load(target, how)
