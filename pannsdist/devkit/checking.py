"""Checks, their outcomes, and the plugin under test."""

from __future__ import annotations

import dataclasses
import importlib
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from functools import cached_property
from pathlib import Path
from typing import Any

from pannsdist import contracts
from pannsdist.registry import Catalog, Entry
from pannsdist.runtime import console, cpu
from pannsdist.runtime.errors import UserError, candidates_line
from pannsdist.runtime.foreign import OF_THIS_PROCESS
from pannsdist.settings import SettingsOrigin, fill_params


class CheckFailed(Exception):
    """The plugin violates the contract; the message says how, in one sentence."""


class NotApplicable(Exception):
    """The check does not apply to this plugin; the message says why."""


class Cost(IntEnum):
    """How expensive a check is: quick, computing with the plugin, or launching a training run on two processes."""

    QUICK = 0
    COMPUTES = 1
    LAUNCHES = 2


class Verdict(Enum):
    """The result of a check."""

    OK = "ok"
    FAIL = "FAIL"
    GAP = "known gap"
    NOT_APPLICABLE = "not applicable"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Subject:
    """The plugin under test, with the params given to it; other params keep their defaults."""

    entry: Entry
    given: Mapping[str, Any] = field(default_factory=dict)
    catalog: Catalog = field(default_factory=Catalog.installed)

    @cached_property
    def plugin_class(self) -> type[Any]:
        """The class named by the entry point."""
        return self.entry.load()

    @property
    def section(self) -> str:
        """The settings section of its params."""
        sections = {
            "dataset": "data.params",
            "augmentation": f"augment.{self.entry.name}",
            "tracker": f"trackers.{self.entry.name}",
            "metric": f"metrics.{self.entry.name}",
        }
        return sections.get(self.entry.kind, f"{self.entry.kind}.params")

    @property
    def required(self) -> list[str]:
        """The params without a default."""
        missing = dataclasses.MISSING
        fields = dataclasses.fields(self.plugin_class.Params)
        return [item.name for item in fields if item.default is missing and item.default_factory is missing]

    def params(self, **changed: Any) -> Any:
        """Its params, filled and validated like those of a settings file."""
        return fill_params(self.plugin_class.Params, {**self.given, **changed}, SettingsOrigin(), self.section)

    def plugin(self, **changed: Any) -> Any:
        """A new instance of the plugin."""
        return self.plugin_class(self.params(**changed))


@dataclass(frozen=True)
class Check:
    """One requirement of the contract. The function returns a finding, or raises CheckFailed or NotApplicable."""

    function: Callable[[Subject], str]
    cost: Cost = Cost.QUICK
    needs_params: bool = False
    """Whether it does not apply to a plugin without params."""

    @property
    def name(self) -> str:
        """The name used in `known_gaps`."""
        return self.function.__name__

    @property
    def sentence(self) -> str:
        """The name as shown to the user."""
        return self.name.replace("_", " ")


@dataclass(frozen=True)
class Outcome:
    """The verdict of a check, and the reason."""

    check: Check
    verdict: Verdict
    reason: str


def require(holds: object, otherwise: str) -> None:
    """Raise CheckFailed with the message `otherwise` unless `holds` is true."""
    if not holds:
        raise CheckFailed(otherwise)


def checks_of(kind: str) -> tuple[Check, ...]:
    """All checks for a kind of plugin. Imports paddle for features, models and optimizers."""
    if kind not in contracts.GROUPS:
        raise UserError(f"unknown kind of plugin '{kind}'", candidates_line(kind, contracts.GROUPS, "kinds"))
    with _quiet():
        modules = [importlib.import_module(f"pannsdist.devkit.checks.{name}") for name in ("plugin", kind)]
    return tuple(check for module in modules for check in module.CHECKS)


def known_gaps_of(subject: Subject, further: Mapping[str, str], checks: Sequence[Check]) -> dict[str, str]:
    """Merge the plugin's `known_gaps` with `further`. Each key must name a check, each value must give a reason."""
    gaps = {**getattr(subject.plugin_class, "known_gaps", {}), **further}
    names = [check.name for check in checks]
    for name, reason in gaps.items():
        if name not in names:
            raise UserError(f"known gap '{name}' is not the name of a check", candidates_line(name, names, "checks"))
        if not isinstance(reason, str) or not reason.strip():
            raise UserError(f"known gap '{name}' has no reason", "give the reason in a sentence")
    return gaps


def run_check(check: Check, subject: Subject, known_gaps: Mapping[str, str] | None = None) -> Outcome:
    """Run one check. Known gaps are strict: a check that passes although it is a known gap counts as a failure."""
    verdict, reason = _verdict(check, subject)
    gap = (known_gaps or {}).get(check.name)
    if gap is None:
        return Outcome(check, verdict, reason)
    if verdict is Verdict.FAIL:
        return Outcome(check, Verdict.GAP, f"{gap} (found: {reason})")
    return Outcome(check, Verdict.FAIL, f"the check passes, so remove it from the known gaps: {reason}")


def _verdict(check: Check, subject: Subject) -> tuple[Verdict, str]:
    with _quiet():
        try:
            return Verdict.OK, check.function(subject)
        except NotApplicable as error:
            return Verdict.NOT_APPLICABLE, str(error)
        except CheckFailed as error:
            return Verdict.FAIL, _one_line(str(error))
        except UserError as error:
            return Verdict.FAIL, _one_line(str(error))
        except OF_THIS_PROCESS:
            raise
        except BaseException as error:  # noqa: BLE001 - third-party code may raise anything
            frame = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{Path(frame.filename).name}:{frame.lineno}"
            return Verdict.FAIL, _one_line(f"{type(error).__name__}: {error} ({place})")


@contextmanager
def _quiet() -> Iterator[None]:
    """Enable fast CPU kernels and silence Paddle's import-time warnings."""
    cpu.use_fast_kernels()
    console.quiet_compiler()
    with warnings.catch_warnings():
        console.quiet_paddle()
        yield


def _one_line(text: str) -> str:
    return "; ".join(line.strip() for line in text.splitlines() if line.strip())
