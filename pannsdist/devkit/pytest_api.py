"""The conformance checks as one parametrized pytest test."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pannsdist import contracts
from pannsdist.devkit.checking import Check, Cost, Outcome, Subject, Verdict, checks_of, known_gaps_of, run_check
from pannsdist.registry import Catalog, Entry
from pannsdist.runtime.errors import UserError

SLOW_MARK = "pannsdist_slow"


def conformance(
    plugin: type[Any],
    params: object | Callable[[Path], object] | None = None,
    known_gaps: Mapping[str, str] | None = None,
) -> Callable[..., None]:
    """A pytest test function that runs every conformance check on an installed plugin.

    `params` is an instance of its `Params`, or a function that creates one in a given empty folder, such as for a
    miniature of a corpus. `known_gaps` maps names of failing checks to reasons; a known gap that passes is a failure.
    Checks that launch processes carry the marker `pannsdist_slow`; checks of params are left out for a plugin without
    params. Raises UserError for a plugin that is not installed.
    """
    import pytest

    catalog = Catalog.installed()
    entry = installed_entry(plugin, catalog)
    checks = checks_of(entry.kind)
    gaps = known_gaps_of(Subject(entry, {}, catalog), known_gaps or {}, checks)

    subjects: list[Subject] = []  # created by the first check that runs

    def subject(folders: Any) -> Subject:
        if not subjects:
            made = params(folders.mktemp(entry.name)) if callable(params) else params
            subjects.append(Subject(entry, _given(made), catalog))
        return subjects[0]

    def marks(check: Check) -> list[Any]:
        return [getattr(pytest.mark, SLOW_MARK)] if check.cost is Cost.LAUNCHES else []

    has_params = bool(dataclasses.fields(plugin.Params)) if dataclasses.is_dataclass(plugin.Params) else True
    fitting = [check for check in checks if has_params or not check.needs_params]
    cases = [pytest.param(check, id=check.sentence, marks=marks(check)) for check in fitting]

    @pytest.mark.parametrize("check", cases)
    def conforms_to_the_contract(check: Check, tmp_path_factory: Any) -> None:
        _report_to_pytest(check, run_check(check, subject(tmp_path_factory), gaps))

    test: Callable[..., None] = conforms_to_the_contract
    return test


def _report_to_pytest(check: Check, outcome: Outcome) -> None:
    import pytest

    if outcome.verdict is Verdict.FAIL:
        pytest.fail(f"{check.sentence}: {outcome.reason}", pytrace=False)
    if outcome.verdict is Verdict.NOT_APPLICABLE:
        pytest.skip(outcome.reason)
    if outcome.verdict is Verdict.GAP:
        pytest.xfail(outcome.reason)


def installed_entry(plugin: type[Any], catalog: Catalog) -> Entry:
    """The entry point of a plugin class. Raises UserError if there is none."""
    package = plugin.__module__.partition(".")[0]
    for entry in catalog:
        if entry.target.partition(":")[0].partition(".")[0] == package and entry.load() is plugin:
            return entry
    wrong = f"no entry point names {plugin.__module__}:{plugin.__qualname__}"
    groups = ", ".join(contracts.GROUPS.values())
    raise UserError(wrong, f"register it in setup.cfg under one of {groups}, and install it", "pip install -e .")


def _given(params: object | None) -> dict[str, Any]:
    if params is None:
        return {}
    return {item.name: getattr(params, item.name) for item in dataclasses.fields(params)}  # type: ignore[arg-type]
