"""What a check is: a small function with a sentence as its name, and the verdict on one plugin."""

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
from pannsdist.settings import SettingsOrigin, fill_params


class CheckFailed(Exception):
    """What a check found wrong, in one sentence."""


class NotApplicable(Exception):
    """Why a check has nothing to look at in this plugin."""


class Cost(IntEnum):
    """What a check takes: a moment, computing with the plugin, or a training run of two processes."""

    ASKS = 0
    COMPUTES = 1
    LAUNCHES = 2


class Verdict(Enum):
    """What became of a check."""

    OK = "ok"
    FAIL = "FAIL"
    GAP = "known gap"
    NOT_APPLICABLE = "not applicable"
    LEFT_OUT = "left out"


@dataclass(frozen=True)
class Subject:
    """The plugin that is checked, with the params that it is given; the others are at their defaults."""

    entry: Entry
    given: Mapping[str, Any] = field(default_factory=dict)
    catalog: Catalog = field(default_factory=Catalog.installed)

    @cached_property
    def plugin_class(self) -> type[Any]:
        """The class that the entry point names."""
        return self.entry.load()

    @property
    def section(self) -> str:
        """Where its params stand in the settings."""
        sections = {
            "dataset": "data.params",
            "augmentation": f"augment.{self.entry.name}",
            "tracker": f"trackers.{self.entry.name}",
            "metric": f"metrics.{self.entry.name}",
        }
        return sections.get(self.entry.kind, f"{self.entry.kind}.params")

    @property
    def required(self) -> list[str]:
        """The params that have no default."""
        missing = dataclasses.MISSING
        fields = dataclasses.fields(self.plugin_class.Params)
        return [item.name for item in fields if item.default is missing and item.default_factory is missing]

    def params(self, **changed: Any) -> Any:
        """Its params, through the same door as those of a settings file."""
        return fill_params(self.plugin_class.Params, {**self.given, **changed}, SettingsOrigin(), self.section)

    def opened(self, **changed: Any) -> Any:
        """The plugin, built anew."""
        return self.plugin_class(self.params(**changed))


@dataclass(frozen=True)
class Check:
    """One thing that the contract asks. The function says what it saw, or raises CheckFailed or NotApplicable."""

    function: Callable[[Subject], str]
    cost: Cost = Cost.ASKS
    needs_params: bool = False
    """Whether it has nothing to look at in a plugin without params."""

    @property
    def name(self) -> str:
        """What a known gap is called by."""
        return self.function.__name__

    @property
    def sentence(self) -> str:
        """What a reader sees."""
        return self.name.replace("_", " ")


@dataclass(frozen=True)
class Outcome:
    """A check's verdict, and the reason for it."""

    check: Check
    verdict: Verdict
    reason: str


def require(holds: object, otherwise: str) -> None:
    """Raise CheckFailed unless it holds."""
    if not holds:
        raise CheckFailed(otherwise)


def checks_of(kind: str) -> tuple[Check, ...]:
    """Every check for a kind of plugin; imports paddle for features, models and optimizers."""
    if kind not in contracts.GROUPS:
        raise UserError(f"unknown kind of plugin '{kind}'", candidates_line(kind, contracts.GROUPS, "kinds"))
    with _quiet():
        rooms = [importlib.import_module(f"pannsdist.devkit.checks.{name}") for name in ("plugin", kind)]
    return tuple(check for room in rooms for check in room.CHECKS)


def known_gaps_of(subject: Subject, further: Mapping[str, str], checks: Sequence[Check]) -> dict[str, str]:
    """The gaps that the plugin states in `known_gaps`, and further ones. Each names a check and has a reason."""
    gaps = {**getattr(subject.plugin_class, "known_gaps", {}), **further}
    names = [check.name for check in checks]
    for name, reason in gaps.items():
        if name not in names:
            raise UserError(f"known gap '{name}' is no check", candidates_line(name, names, "checks"))
        if not isinstance(reason, str) or not reason.strip():
            raise UserError(f"known gap '{name}' has no reason", "say why, in a sentence")
    return gaps


def judge(check: Check, subject: Subject, known_gaps: Mapping[str, str] | None = None) -> Outcome:
    """The verdict of one check. A known gap must be one: where the check passes after all, that is a failure."""
    verdict, reason = _verdict(check, subject)
    gap = (known_gaps or {}).get(check.name)
    if gap is None:
        return Outcome(check, verdict, reason)
    if verdict is Verdict.FAIL:
        return Outcome(check, Verdict.GAP, f"{gap} (found: {reason})")
    return Outcome(check, Verdict.FAIL, f"take it out of the known gaps, for it is none: {reason}")


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
        except Exception as error:  # noqa: BLE001 a stranger's code may raise anything
            frame = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{Path(frame.filename).name}:{frame.lineno}"
            return Verdict.FAIL, _one_line(f"{type(error).__name__}: {error} ({place})")


@contextmanager
def _quiet() -> Iterator[None]:
    """For whatever may import paddle: its fast kernels, and nothing of what it warns of on every machine."""
    cpu.use_fast_kernels()
    console.quiet_compiler()
    with warnings.catch_warnings():
        console.quiet_paddle()
        yield


def _one_line(text: str) -> str:
    return "; ".join(line.strip() for line in text.splitlines() if line.strip())
