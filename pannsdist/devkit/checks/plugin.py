"""What every plugin keeps to, of whatever kind."""

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


def it_loads_and_keeps_the_contract(subject: Subject) -> str:
    """Class, Params, the members of its kind, and the version of the contract."""
    stated = getattr(subject.plugin_class, "contract", None)
    return f"{subject.entry.target}, contract " + (
        f"{stated}" if stated is not None else f"not stated, so {contracts.VERSION}"
    )


def importing_it_has_no_side_effect(subject: Subject) -> str:
    """Neither output, nor a seed, nor the device, nor the working folder, nor the environment."""
    effects = subprocess_probe.effects_of_importing(subject.entry)
    require(not effects, "importing it " + "; it ".join(effects))
    return "in a Python of its own"


def it_says_in_one_line_what_it_is(subject: Subject) -> str:
    """`pannsdist plugins list --long` shows that line."""
    own = inspect.getdoc(subject.plugin_class) if subject.plugin_class.__doc__ else ""
    require(own, "its class has no docstring")
    return str(own).splitlines()[0]


def its_params_are_a_frozen_dataclass(subject: Subject) -> str:
    """Frozen, so that a run is what its settings say."""
    params = subject.plugin_class.Params
    require(dataclasses.is_dataclass(params), f"{params.__name__} is no dataclass")
    require(params.__dataclass_params__.frozen, f"write @dataclass(frozen=True) above {params.__name__}")
    return str(params.__name__)


def each_param_says_what_it_is(subject: Subject) -> str:
    """By `param(..., doc)`, or by name in the docstring of `Params`."""
    fields = dataclasses.fields(subject.plugin_class.Params)
    if not fields:
        raise NotApplicable("it has no params")
    silent = [item.name for item in fields if not documented(subject.plugin_class.Params, item)]
    right = "write NAME: TYPE = param(DEFAULT, MEANING), or `NAME` in the docstring of Params"
    require(not silent, f"no word on {', '.join(silent)}: {right}")
    return ", ".join(item.name for item in fields)


def the_defaults_of_its_params_are_valid(subject: Subject) -> str:
    """It is built with nothing but the params that have no default."""
    needed = {name: subject.given[name] for name in subject.required if name in subject.given}
    subject.plugin_class(fill_params(subject.plugin_class.Params, needed, SettingsOrigin(), subject.section))
    return f"given: {', '.join(needed) or 'nothing'}"


def a_misspelt_param_gets_the_nearest_name(subject: Subject) -> str:
    """In a settings file as on the command line."""
    fields = dataclasses.fields(subject.plugin_class.Params)
    if not fields:
        raise NotApplicable("it has no params")
    name = max((item.name for item in fields), key=len)
    misspelt = name[:-1] if len(name) > 3 else f"{name}s"
    try:
        subject.params(**{misspelt: 1})
    except SettingsError as error:
        require(f"closest: {name}." in str(error), f"{misspelt!r} is refused without the nearest name: {error}")
        return f"{misspelt!r}: closest {name!r}"
    return _unreachable(misspelt)


def its_params_go_into_a_model_folder_and_come_back(subject: Subject) -> str:
    """As JSON."""
    params = subject.params()
    again = json.loads(json.dumps(dataclasses.asdict(params)))
    back = fill_params(subject.plugin_class.Params, again, SettingsOrigin(), subject.section)
    require(back == params, f"{params} becomes {back}")
    return "as JSON"


def its_params_reach_a_worker(subject: Subject) -> str:
    """They pickle."""
    params = subject.params()
    require(travelled(params) == params, "they are not the same behind the way to a worker process")
    return "pickled"


def travelled(thing: Any) -> Any:
    """What arrives in a worker process."""
    return ForkingPickler.loads(bytes(ForkingPickler.dumps(thing)))


def words(text: str) -> set[str]:
    """The words of a message."""
    return set(re.findall(r"\w+", text))


def _unreachable(misspelt: str) -> str:
    require(False, f"{misspelt!r} is taken for a param")
    return ""


CHECKS = (
    Check(it_loads_and_keeps_the_contract),
    Check(importing_it_has_no_side_effect, Cost.COMPUTES),
    Check(it_says_in_one_line_what_it_is),
    Check(its_params_are_a_frozen_dataclass),
    Check(each_param_says_what_it_is, needs_params=True),
    Check(the_defaults_of_its_params_are_valid),
    Check(a_misspelt_param_gets_the_nearest_name, needs_params=True),
    Check(its_params_go_into_a_model_folder_and_come_back),
    Check(its_params_reach_a_worker),
)
