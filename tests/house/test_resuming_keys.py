"""Promise 2 lists every settings key and every option of training: what may change on resuming, and what may not."""

import argparse
import dataclasses
import re
from collections.abc import Iterator

import pytest
from architecture import ROOT

from pannsdist.cli import train
from pannsdist.run.same_run import FREE_KEYS
from pannsdist.settings.schema import Settings

PAGES = ("docs/en/promises.md", "docs/zh/promises.md")
OF_NO_RUN = {"--help", "--config", "--dry-run"}
"""Options that name the settings, or start nothing."""


def keys(kind: type, prefix: str = "") -> Iterator[str]:
    """Every key of the schema, dotted."""
    for one in dataclasses.fields(kind):
        made = one.default_factory() if one.default_factory is not dataclasses.MISSING else one.default
        if dataclasses.is_dataclass(made):
            yield from keys(type(made), f"{prefix}{one.name}.")
        else:
            yield f"{prefix}{one.name}"


def options() -> set[str]:
    """Every option of `pannsdist train` about the run."""
    parser = argparse.ArgumentParser()
    train.add(parser.add_subparsers())
    (commands,) = [one for one in parser._actions if isinstance(one, argparse._SubParsersAction)]
    named = {name for action in commands.choices["train"]._actions for name in action.option_strings}
    return {name for name in named if name.startswith("--")} - OF_NO_RUN


def listed(page: str) -> list[tuple[list[str], list[str]]]:
    """Settings and options in the two rows of the table: those that may change, and those that may not."""
    section = (ROOT / page).read_text(encoding="utf-8").partition("\n## 2.")[2].partition("\n## ")[0]
    rows = [line.split("|")[2:4] for line in section.splitlines() if line.startswith("| ") and line.count("|") == 4]
    return [(re.findall(r"`([^`]+)`", one), re.findall(r"`([^`]+)`", other)) for one, other in rows[-2:]]


def covers(name: str, key: str) -> bool:
    return key == name or (name.endswith(".*") and key.startswith(name[:-1]))


@pytest.mark.parametrize("page", PAGES)
def test_every_key_stands_in_one_list_and_the_code_agrees(page):
    (free, _), (fixed, _) = listed(page)
    names = list(keys(Settings))
    found = {key: [name for name in (*free, *fixed) if covers(name, key)] for key in names}
    assert {key: lists for key, lists in found.items() if len(lists) != 1} == {}, "not in one list alone"
    assert {name for name in (*free, *fixed) if not any(covers(name, key) for key in names)} == set(), "no such key"
    may_change = {key for key in names if any(key == name or key.startswith(f"{name}.") for name in FREE_KEYS)}
    assert {key for key in names if any(covers(name, key) for name in free)} == may_change


@pytest.mark.parametrize("page", PAGES)
def test_a_section_of_which_some_keys_may_change_is_listed_key_by_key(page):
    """So that a new key of it has to be thought about."""
    (free, _), (fixed, _) = listed(page)
    for name in (*free, *fixed):
        others = fixed if name in free else free
        assert not (name.endswith(".*") and any(other.startswith(name[:-1]) for other in others)), name
    assert "distributed.*" not in (*free, *fixed)


@pytest.mark.parametrize("page", PAGES)
def test_every_option_of_training_stands_in_one_list(page):
    (_, free), (_, fixed) = listed(page)
    assert sorted([*free, *fixed]) == sorted(options())
