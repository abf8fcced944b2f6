"""Settings and params as values that YAML and JSON hold; what they cannot hold is refused before a run."""

import json
from collections import OrderedDict
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pannsdist import settings
from pannsdist.inference.bundle import PluginRecord, build_recorded
from pannsdist.registry import Catalog, Entry, Origin
from pannsdist.registry.building import build_plugin
from pannsdist.registry.catalog import Registry
from pannsdist.runtime.errors import BrokenPlugin, SettingsError
from pannsdist.settings import NotPlain, SettingsOrigin
from pannsdist.settings.plain import flat, plain


class Colour(Enum):
    RED = "r"


class Size(IntEnum):
    BIG = 3


@dataclass(frozen=True)
class Inner:
    place: Path = Path("a")


VALUES = [
    (Path("/a/b"), "/a/b"),
    (Colour.RED, "RED"),
    (Size.BIG, "BIG"),
    (np.float32(0.5), 0.5),
    (np.float64(0.5), 0.5),
    (np.int64(3), 3),
    (np.bool_(True), True),
    (np.arange(3), [0, 1, 2]),
    (np.str_("a"), "a"),
    ({"b", "a"}, ["a", "b"]),
    (frozenset([2, 1]), [1, 2]),
    ((1, (Path("a"), None)), [1, ["a", None]]),
    (OrderedDict(a=Inner()), {"a": {"place": "a"}}),
]
NOT_PLAIN = [object(), 1j, b"raw", print, Inner, float("inf"), np.float32("nan"), {1: "a"}, np.array([object()])]


@pytest.mark.parametrize(("value", "expected"), VALUES, ids=lambda value: type(value).__name__)
def test_a_value_becomes_one_that_json_gives_back(value, expected):
    found = plain({"key": value})
    assert json.loads(json.dumps(found, allow_nan=False)) == found == {"key": expected}


@pytest.mark.parametrize("value", NOT_PLAIN, ids=lambda value: type(value).__name__)
def test_what_cannot_be_held_is_named_with_its_key(value):
    with pytest.raises(NotPlain, match=r"^outer.key.1( is | has |$)|^outer.key.1.0 is "):
        plain({"key": [0, value]}, "outer")


@dataclass(frozen=True)
class RichParams:
    """Whatever a stranger's plugin may declare."""

    place: Path = Path("/tones")
    colour: Colour = Colour.RED
    inner: Inner = field(default_factory=Inner)
    derived: Any = None

    def __post_init__(self) -> None:
        chosen = {"numpy": np.float32(0.5), "set": {"b", "a"}, "object": object(), "nan": float("nan")}
        object.__setattr__(self, "derived", chosen.get(str(self.derived), self.derived))


class Rich:
    """A feature as far as its params matter."""

    Params = RichParams

    def __init__(self, params: RichParams) -> None:
        self.params = params

    def build(self):
        """Nothing."""


ENTRY = Entry("feature", "rich", Origin("stranger", "1.0"), f"{__name__}:Rich")


def built(**params):
    return build_plugin(ENTRY, params, SettingsOrigin(), "feature.params")


def test_params_of_a_stranger_are_recorded_and_give_the_same_plugin_again():
    part = built(place="sounds/a", inner={"place": "b"}, derived="set")
    assert isinstance(part.params.place, Path)
    record = json.loads(json.dumps(settings.to_dict(part.params)))
    assert record == {"place": "sounds/a", "colour": "RED", "inner": {"place": "b"}, "derived": ["a", "b"]}
    catalog = Catalog({"feature": Registry("feature", {"rich": (ENTRY,)})})
    again = build_recorded(PluginRecord("rich", record, ENTRY.origin), "feature", catalog)
    assert (again.params.place, again.params.colour, again.params.inner) == (
        Path("sounds/a"),
        Colour.RED,
        Inner(Path("b")),
    )


def test_params_that_no_model_folder_could_hold_are_refused_while_planning():
    with pytest.raises(
        BrokenPlugin, match=r"'rich' of stranger 1.0 has a param that cannot be stored: feature\.params\."
    ):
        built(derived="object")
    with pytest.raises(SettingsError, match=r"feature\.params\.derived is nan"):
        built(derived="nan")


def test_settings_that_no_record_could_hold_are_refused(tmp_path):
    (tmp_path / "run.yaml").write_text("model: {name: panns_cnn6}\ndata: {name: tones, params: {a: [.inf]}}\n")
    with pytest.raises(SettingsError, match=r"setting data\.params\.a\.0 is inf"):
        settings.load(tmp_path / "run.yaml")


def test_an_empty_section_has_no_keys_and_an_empty_value_below_one_stays():
    assert flat({"a": {}, "b": {"c": {}, "d": 1}, "e": []}) == {"b.c": {}, "b.d": 1, "e": []}
