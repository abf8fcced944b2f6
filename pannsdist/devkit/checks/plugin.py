"""Conformance checks of all kinds of plugins."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
from multiprocessing.reduction import ForkingPickler
from typing import Any

from pannsdist import contracts
from pannsdist.devkit import subprocess_probe
from pannsdist.devkit.checking import Check, Cost, NotApplicable, Subject, require
from pannsdist.runtime.errors import SettingsError
from pannsdist.settings import SettingsOrigin, documented, fill_params


def it_loads_and_conforms_to_the_contract(subject: Subject) -> str:
    """The class, Params, the members of its kind, and the contract version."""
    stated = getattr(subject.plugin_class, "contract", None)
    return f"{subject.entry.target}, contract " + (
        f"{stated}" if stated is not None else f"not declared, so {contracts.VERSION}"
    )


def importing_it_has_no_side_effect(subject: Subject) -> str:
    """No output, and no change of seeds, device, working folder or environment."""
    effects = subprocess_probe.import_side_effects(subject.entry)
    require(not effects, "importing it " + "; it ".join(effects))
    return "in a fresh interpreter"


def its_class_has_a_docstring(subject: Subject) -> str:
    """`pannsdist plugins list --long` shows its first line."""
    own = inspect.getdoc(subject.plugin_class) if subject.plugin_class.__doc__ else ""
    require(own, "its class has no docstring")
    return str(own).splitlines()[0]


def its_params_are_a_frozen_dataclass(subject: Subject) -> str:
    """Frozen, so that params cannot differ from the recorded settings."""
    params = subject.plugin_class.Params
    require(dataclasses.is_dataclass(params), f"{params.__name__} is not a dataclass")
    require(params.__dataclass_params__.frozen, f"write @dataclass(frozen=True) above {params.__name__}")
    return str(params.__name__)


def each_param_is_documented(subject: Subject) -> str:
    """By `param(..., doc)`, or by its name in the docstring of `Params`."""
    fields = dataclasses.fields(subject.plugin_class.Params)
    if not fields:
        raise NotApplicable("it has no params")
    undocumented = [item.name for item in fields if not documented(subject.plugin_class.Params, item)]
    right = "write NAME: TYPE = param(DEFAULT, MEANING), or `NAME` in the docstring of Params"
    require(not undocumented, f"undocumented: {', '.join(undocumented)}; {right}")
    return ", ".join(item.name for item in fields)


def the_defaults_of_its_params_are_valid(subject: Subject) -> str:
    """It can be built with only its required params."""
    needed = {name: subject.given[name] for name in subject.required if name in subject.given}
    subject.plugin_class(fill_params(subject.plugin_class.Params, needed, SettingsOrigin(), subject.section))
    return f"given: {', '.join(needed) or 'nothing'}"


def a_misspelt_param_is_refused_with_the_closest_name(subject: Subject) -> str:
    """In a settings file and on the command line."""
    fields = dataclasses.fields(subject.plugin_class.Params)
    if not fields:
        raise NotApplicable("it has no params")
    name = max((item.name for item in fields), key=len)
    misspelt = name[:-1] if len(name) > 3 else f"{name}s"
    try:
        subject.params(**{misspelt: 1})
    except SettingsError as error:
        require(f"closest: {name}." in str(error), f"{misspelt!r} is refused without the closest name: {error}")
        return f"{misspelt!r}: closest {name!r}"
    return _accepted(misspelt)


def its_params_survive_a_json_round_trip(subject: Subject) -> str:
    """As through a model folder's bundle.json."""
    params = subject.params()
    loaded = json.loads(json.dumps(dataclasses.asdict(params)))
    back = fill_params(subject.plugin_class.Params, loaded, SettingsOrigin(), subject.section)
    require(back == params, f"{params} becomes {back}")
    return "as JSON"


def its_params_can_be_pickled(subject: Subject) -> str:
    """They are sent to worker processes."""
    params = subject.params()
    require(pickle_round_trip(params) == params, "the params differ after a pickle round trip")
    return "pickled"


def pickle_round_trip(value: Any) -> Any:
    """The copy that a worker process receives."""
    return ForkingPickler.loads(bytes(ForkingPickler.dumps(value)))


def words(text: str) -> set[str]:
    """The words of a message."""
    return set(re.findall(r"\w+", text))


def _accepted(misspelt: str) -> str:
    require(False, f"{misspelt!r} is accepted as a param")
    return ""


CHECKS = (
    Check(it_loads_and_conforms_to_the_contract),
    Check(importing_it_has_no_side_effect, Cost.COMPUTES),
    Check(its_class_has_a_docstring),
    Check(its_params_are_a_frozen_dataclass),
    Check(each_param_is_documented, needs_params=True),
    Check(the_defaults_of_its_params_are_valid),
    Check(a_misspelt_param_is_refused_with_the_closest_name, needs_params=True),
    Check(its_params_survive_a_json_round_trip),
    Check(its_params_can_be_pickled),
)
