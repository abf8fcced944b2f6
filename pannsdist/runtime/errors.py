"""User errors, each with what was wrong, what would be right and the next command."""

from __future__ import annotations

import difflib
import math
import re
import shlex
from collections.abc import Iterable

from pannsdist.runtime.redaction import without_credentials

SIMILAR = 0.5
EXIT_USER_ERROR = 2
EXIT_STOPPED = 75
"""The run was stopped on request, saved, and can be resumed: EX_TEMPFAIL of sysexits.h, "try again later"."""


class UserError(Exception):
    """An error that the user can fix; printed without a traceback, exit code 2.

    `wrong` states what was found, `right` what would be valid, `command` the next command; none keeps credentials.
    """

    def __init__(self, wrong: str, right: str = "", command: str = "") -> None:
        wrong, right, command = map(without_credentials, (wrong, right, command))
        super().__init__(wrong, right, command)
        self.wrong, self.right, self.command = wrong, right, command

    def __str__(self) -> str:
        lines = [self.wrong]
        lines += [f"  {line}" for line in self.right.splitlines()]
        if self.command:
            lines.append(f"  next: {self.command}")
        return "\n".join(lines)

    def _render_traceback_(self) -> list[str]:
        """What IPython and notebooks show: the message without a traceback."""
        return [f"{type(self).__name__}: {self}"]


class SettingsError(UserError):
    """A settings file, key or value that the schema does not allow."""


class UnknownPlugin(UserError):
    """A plugin name that no installed distribution provides."""


class AmbiguousPlugin(UserError):
    """A plugin name that two installed distributions provide."""


class BrokenPlugin(UserError):
    """A plugin that is installed but cannot be imported or does not implement the contract."""


class FrontEndMismatch(UserError):
    """Data, feature and weights whose front ends differ."""


class BadWeightsFile(UserError):
    """A weight file that is missing, damaged, or contains anything but tensors."""


class WeightsMismatch(UserError):
    """Weights whose names, shapes or types do not match the network."""


class BadDataset(UserError):
    """A dataset with invalid files or tables."""


class BadClip(UserError):
    """One clip that cannot be used; the message contains its id and path."""


class BadRunFolder(UserError):
    """A run folder that belongs to another run or cannot be resumed."""


class CannotWrite(UserError):
    """A file or folder that cannot be written, for example on a full disk."""


class CannotRead(UserError):
    """A file or folder that the system cannot read now; nothing says that its content is damaged."""


class NotFinite(UserError):
    """Training whose loss or gradient is no longer finite."""


class Stopped(UserError):
    """A run that was stopped on request, after saving a checkpoint; exit code 75. Not a user error."""


class WorkerDied(UserError):
    """A data loader worker that was killed or that crashed."""


class PeerLost(UserError):
    """Another process of the run failed or ended, so that this one cannot continue; exit code 75.

    Not a user error: the same command continues from the last checkpoint.
    """


class BadBundle(UserError):
    """A model folder that is incomplete or does not support the requested operation."""


def shell_command(*words: object) -> str:
    """A command to type, with paths and names quoted for the shell; every command that holds a value is made here."""
    return shlex.join(map(str, words))


def at_least(seconds: float) -> str:
    """A minimum for an error message, rounded up to milliseconds so that the printed value is allowed."""
    return f"at least {math.ceil(round(1000 * seconds, 6)) / 1000:.3f} s"


MAX_LISTED = 20
"""Up to so many candidates are listed in an error message; of more only the most similar ones."""


def closest(name: str, candidates: Iterable[str]) -> str:
    """The candidate most similar to `name`, or an empty string if none is similar."""
    return next(iter(similar(name, candidates, 1)), "")


def similar(name: str, candidates: Iterable[str], count: int) -> list[str]:
    """Up to `count` similar candidates, the most similar first.

    Case, separators and leading zeros of numbers do not count, so that `adamw` is AdamW and `mn4` is `mn04`.
    """
    wanted = _normalized(name)
    ratios = {one: difflib.SequenceMatcher(None, wanted, _normalized(one)).ratio() for one in candidates}
    ranked = sorted(ratios, key=lambda one: (-ratios[one], one))
    return [one for one in ranked if ratios[one] >= SIMILAR][:count]


def _normalized(name: str) -> str:
    return re.sub(r"0+(?=[0-9])", "", re.sub(r"[^a-z0-9/.]", "", name.lower()))


def candidates_line(name: str, candidates: Iterable[str], noun: str) -> str:
    """One line for an error message: the most similar candidate, then all candidates, or the next ones of many."""
    ordered = sorted(candidates)
    near = similar(name, ordered, 5)
    line = f"closest: {near[0]}.  " if near else ""
    if len(ordered) <= MAX_LISTED:
        return line + f"{noun}: {', '.join(ordered) or 'none'}"
    others = f" such as {', '.join(near[1:])}" if near[1:] else ""
    return line + f"{noun}: {len(ordered)}{others}"
