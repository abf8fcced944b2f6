"""A name that a distribution of this project provides, and that is not installed, is refused with what to install."""

import configparser
from pathlib import Path

import pytest

from pannsdist.contracts import GROUPS, KINDS
from pannsdist.registry import Catalog, Entry, Origin, Registry, own_distributions
from pannsdist.registry.building import Builtin, PluginRequest, build_plugins
from pannsdist.registry.own_distributions import PROVIDED, distribution_of
from pannsdist.runtime.errors import UnknownPlugin
from pannsdist.settings import SettingsOrigin

PLUGINS = Path(__file__).resolve().parents[3] / "plugins"
EMPTY = Catalog({kind: Registry(kind, {}) for kind in KINDS})


def declared():
    """(kind, distribution, name) of every plugin that plugins/*/setup.cfg declares."""
    kinds = {group: kind for kind, group in GROUPS.items()}
    for path in PLUGINS.glob("*/setup.cfg"):
        config = configparser.ConfigParser()
        config.optionxform = str
        config.read(path, encoding="utf-8")
        entry_points = dict(config["options.entry_points"]) if config.has_section("options.entry_points") else {}
        for group, lines in entry_points.items():
            for line in lines.strip().splitlines() if group in kinds else ():
                yield kinds[group], config["metadata"]["name"], line.partition("=")[0].strip()


def refusal(action):
    with pytest.raises(UnknownPlugin) as caught:
        action()
    return str(caught.value)


def test_the_table_holds_what_the_distributions_declare():
    table = [(kind, distribution, name) for kind, distribution, names in PROVIDED for name in names.split()]
    assert sorted(table) == sorted(declared())


@pytest.mark.parametrize(("kind", "distribution", "name"), sorted(declared()))
def test_a_plugin_of_this_project_that_is_not_installed_names_what_to_install(kind, distribution, name):
    expected = f"is not installed\n  the distribution {distribution} provides it\n  next: pip install {distribution}"
    assert refusal(lambda: EMPTY.registry(kind).find(name)) == f"{kind} '{name}' {expected}"
    said = refusal(lambda: EMPTY.registry(kind).find(f"{distribution}:{name}", "where in a.yaml"))
    assert said == f"{kind} '{distribution}:{name}' (where in a.yaml) {expected}"


def test_a_name_of_another_distribution_or_kind_is_unknown_as_before():
    said = refusal(lambda: EMPTY.metrics.find("fake-scores:event_f1"))
    assert said.startswith("unknown metric 'fake-scores:event_f1'")
    assert refusal(lambda: EMPTY.models.find("event_f1")).startswith("unknown model 'event_f1'")
    assert distribution_of("metric", "event_f2") == ""


def test_an_installed_distribution_without_the_name_is_older_and_to_be_upgraded():
    old = Entry("metric", "event_f1", Origin("pannsdist-sed-scores", "0.0.1"), "pannsdist_sed_scores:EventF1")
    said = refusal(lambda: Registry("metric", {"event_f1": (old,)}).find("psds1"))
    assert "  a newer pannsdist-sed-scores provides it\n  next: pip install -U pannsdist-sed-scores" in said


@pytest.mark.parametrize("kind", ["optimizer", "schedule"])
def test_a_name_of_a_kind_with_built_in_names_is_looked_up_too(kind, monkeypatch):
    monkeypatch.setattr(own_distributions, "PROVIDED", ((kind, "pannsdist-lion", "lion"),))
    builtin = Builtin(("sgd",), "built in", lambda *_: None)
    request = PluginRequest(kind, "lion", {}, kind, f"{kind}.name in a.yaml", f"{kind}.params", builtin=builtin)
    said = refusal(lambda: build_plugins([request], EMPTY, SettingsOrigin()))
    assert said.startswith(f"{kind} 'lion' ({kind}.name in a.yaml) is not installed\n")
    assert said.endswith("next: pip install pannsdist-lion")
