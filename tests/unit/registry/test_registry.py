"""Plugins are found because a distribution on disk declares them, and imported when they are asked for."""

import sys
import textwrap

import pytest
from small_parts import install

from pannsdist.contracts import CHANGES, GROUPS, VERSION
from pannsdist.registry import Catalog
from pannsdist.runtime.errors import AmbiguousPlugin, BrokenPlugin, UnknownPlugin

GOOD = """
    from dataclasses import dataclass

    @dataclass(frozen=True)
    class Params:
        pass

    class Good:
        Params = Params
        def __init__(self, params):
            self.params = params
        def clips(self, split):
            return ()
"""


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder of installed distributions, first on the path."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("fake_"):
            del sys.modules[name]


def offer(site, distribution, entries, module="", text=GOOD, *, group="pannsdist.datasets", version="1.0"):
    install(site, distribution, f"[{group}]\n" + "\n".join(entries) + "\n", version)
    if module:
        (site / f"{module}.py").write_text(textwrap.dedent(text), encoding="utf-8")


def refusal(kind, action):
    with pytest.raises(kind) as caught:
        action()
    return str(caught.value)


def test_an_installed_plugin_is_found_with_its_origin(site):
    offer(site, "fake-birds", ["birds = fake_birds:Good"], "fake_birds", version="2.1")
    entry = Catalog.installed().datasets.find("birds")
    assert (entry.kind, entry.name, str(entry.origin)) == ("dataset", "birds", "fake-birds 2.1")
    assert entry.qualified_name == "fake-birds:birds"
    assert entry.load().__name__ == "Good"


def test_finding_a_plugin_does_not_import_it(site):
    offer(site, "fake-birds", ["birds = fake_birds:Good"], "fake_birds")
    Catalog.installed().datasets.find("birds")
    assert "fake_birds" not in sys.modules


def test_a_plugin_that_is_no_longer_installed_is_no_longer_found(site, monkeypatch):
    offer(site, "fake-birds", ["birds = fake_birds:Good"], "fake_birds")
    assert "birds" in Catalog.installed().datasets.entries
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place != str(site)])
    assert "birds" not in Catalog.installed().datasets.entries


def test_an_unknown_name_is_refused_with_the_nearest_and_who_asked():
    said = refusal(UnknownPlugin, lambda: Catalog.installed().models.find("panns_cn14", "model.name in a.yaml"))
    assert said.startswith("unknown model 'panns_cn14' (model.name in a.yaml)\n  closest: panns_cnn14.  installed: ")
    assert "panns_cnn10" in said
    assert said.endswith("next: pannsdist plugins list")


def test_two_distributions_with_one_name_are_both_named(site):
    offer(site, "fake-birds", ["birds = fake_birds:Good"], "fake_birds")
    offer(site, "fake-other", ["birds = fake_birds:Good"], version="3.0")
    said = refusal(AmbiguousPlugin, lambda: Catalog.installed().datasets.find("birds"))
    assert said.startswith("two distributions offer dataset 'birds': ")
    assert "fake-birds 1.0" in said
    assert "fake-other 3.0" in said
    assert "fake-other:birds" in said


def test_the_name_of_the_distribution_chooses_between_two(site):
    offer(site, "fake-birds", ["birds = fake_birds:Good"], "fake_birds")
    offer(site, "fake-other", ["birds = fake_birds:Good"])
    assert Catalog.installed().datasets.find("fake-other:birds").origin.distribution == "fake-other"


def test_a_name_of_another_distribution_is_unknown(site):
    offer(site, "fake-birds", ["birds = fake_birds:Good"], "fake_birds")
    said = refusal(UnknownPlugin, lambda: Catalog.installed().datasets.find("fake-other:birds"))
    assert said.startswith("unknown dataset 'fake-other:birds'")


def test_one_name_may_stand_in_two_kinds(site):
    offer(site, "fake-birds", ["birds = fake_birds:Good"], "fake_birds")
    offer(site, "fake-other", ["birds = fake_birds:Good"], group="pannsdist.models")
    catalog = Catalog.installed()
    assert catalog.datasets.find("birds").origin.distribution == "fake-birds"
    assert catalog.models.find("birds").origin.distribution == "fake-other"


@pytest.mark.parametrize("damaged", ["no header = here\n", "[group]\nno equals sign\n", "[group]\na = b\na = c\n"])
def test_a_strangers_malformed_file_hides_no_other_plugin_and_is_named(site, damaged):
    offer(site, "fake-birds", ["birds = fake_birds:Good"], "fake_birds")
    install(site, "fake-stranger", damaged)
    with pytest.warns(UserWarning, match="plugins of fake_stranger are ignored: .*entry_points.txt"):
        catalog = Catalog.installed()
    assert str(catalog.datasets.find("birds").origin) == "fake-birds 1.0"
    assert "panns_cnn6" in catalog.models.entries
    (problem,) = catalog.problems
    assert problem.startswith(f"{site}/fake_stranger-1.0.dist-info/entry_points.txt: ")


def test_a_sound_environment_has_no_problems():
    assert Catalog.installed().problems == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import fake_missing_library", "ModuleNotFoundError: No module named 'fake_missing_library'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("Other = 1", "Good"),
        ("Good = 1", "fake_birds:Good is not a class"),
        ("class Good:\n    pass", "it has no dataclass `Params`"),
        ("class Good:\n    class Params:\n        pass", "it has no dataclass `Params`"),
        (GOOD.replace("clips", "sounds"), "it lacks clips"),
    ],
)
def test_a_broken_plugin_is_refused_only_when_it_is_loaded(site, text, said):
    offer(site, "fake-birds", ["birds = fake_birds:Good"], "fake_birds", text)
    entry = Catalog.installed().datasets.find("birds")
    words = refusal(BrokenPlugin, entry.load)
    assert words.startswith("dataset plugin 'birds' of fake-birds 1.0 is broken: ")
    assert said in words
    assert "fix or uninstall fake-birds; it names fake_birds:Good" in words


def test_an_entry_that_is_no_entry_point_is_refused_when_it_is_loaded(site):
    offer(site, "fake-birds", ["birds = not an entry point"])
    entry = Catalog.installed().datasets.find("birds")
    assert "dataset plugin 'birds' of fake-birds 1.0 is broken" in refusal(BrokenPlugin, entry.load)


@pytest.mark.parametrize(("kind", "name"), [("metric", "accuracy"), ("optimizer", "AdamW"), ("schedule", "cosine")])
def test_who_looks_for_what_is_built_in_is_told_that_it_is_no_plugin(kind, name):
    assert "are not plugins" in refusal(UnknownPlugin, lambda: Catalog.installed().registry(kind).find(name))


def test_an_unknown_kind_is_refused_with_the_nearest():
    said = refusal(UnknownPlugin, lambda: Catalog.installed().registry("modell"))
    assert said.startswith(
        "unknown kind of plugin 'modell'\n  closest: model.  kinds: augmentation, dataset, feature, metric, model"
    )


def test_a_catalog_lists_models_then_datasets_features_and_augmentations_by_name():
    entries = list(Catalog.installed())
    kinds = [entry.kind for entry in entries]
    assert kinds == sorted(kinds, key=list(GROUPS).index)
    names = [entry.name for entry in entries if entry.kind == "model"]
    assert names == sorted(names)


def test_a_plugin_may_say_that_it_was_written_for_this_contract(site):
    offer(site, "fake-birds", ["birds = fake_stated:Good"], "fake_stated", GOOD + f"        contract = {VERSION}\n")
    assert Catalog.installed().datasets.find("birds").load().contract == VERSION


def test_a_plugin_for_an_older_contract_is_refused_with_what_has_changed(site):
    offer(site, "fake-birds", ["birds = fake_older:Good"], "fake_older", GOOD + "        contract = 0\n")
    said = refusal(BrokenPlugin, Catalog.installed().datasets.find("birds").load)
    head = "dataset plugin 'birds' of fake-birds 1.0 was written for contract 0"
    assert said.startswith(f"{head}, but this pannsdist has contract {VERSION}\n  what changed:\n")
    assert all(f"contract {number} (pannsdist {since}): {what}" in said for number, (since, what) in CHANGES.items())
    assert said.endswith("next: pip install -U fake-birds")


@pytest.mark.parametrize("stated", [VERSION + 1, 99])
def test_a_plugin_for_a_newer_contract_asks_for_a_newer_pannsdist(site, stated):
    module = f"fake_newer_{stated}"
    offer(site, "fake-birds", [f"birds = {module}:Good"], module, GOOD + f"        contract = {stated}\n")
    said = refusal(BrokenPlugin, Catalog.installed().datasets.find("birds").load)
    assert f"was written for contract {stated}" in said
    assert "or install an older fake-birds" in said
    assert said.endswith("next: pip install -U pannsdist")
