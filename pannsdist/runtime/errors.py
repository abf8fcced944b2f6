"""What a user is told when something cannot be done: what was wrong, what would be right, the next command."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

EXIT_USER_ERROR = 2
EXIT_STOPPED = 75
"""Stopped because somebody asked for it, saved, to be continued: EX_TEMPFAIL of sysexits.h, "try again later"."""


class UserError(Exception):
    """A situation that the person at the keyboard can mend; printed without a traceback, exit code 2.

    `wrong` says what was found, `right` what would work, `command` what to type next.
    """

    def __init__(self, wrong: str, right: str = "", command: str = "") -> None:
        super().__init__(wrong, right, command)
        self.wrong, self.right, self.command = wrong, right, command

    def __str__(self) -> str:
        lines = [self.wrong]
        lines += [f"  {line}" for line in self.right.splitlines()]
        if self.command:
            lines.append(f"  next: {self.command}")
        return "\n".join(lines)


class SettingsError(UserError):
    """A key, a value or a settings file that the schema does not allow."""


class UnknownPlugin(UserError):
    """A name that no installed distribution offers."""


class AmbiguousPlugin(UserError):
    """A name that two installed distributions offer."""


class BrokenPlugin(UserError):
    """A plugin that is installed but cannot be imported or does not keep the contract."""


class FrontEndMismatch(UserError):
    """Data, feature and weights that do not describe sound in the same way."""


class BadWeightsFile(UserError):
    """A weight file that is missing, damaged, or asks for anything but tensors."""


class WeightsMismatch(UserError):
    """Weights that do not belong to the network they were given to."""


class BadDataset(UserError):
    """A dataset whose files or tables are not as they should be."""


class BadClip(UserError):
    """One clip that cannot be used; says its id and its path."""


class BadRunFolder(UserError):
    """A run folder that belongs to another run, or that cannot be continued."""


class CannotWrite(UserError):
    """A file or folder that cannot be written, such as on a full disk."""


class NotFinite(UserError):
    """A training whose loss or gradient is no number any more."""


class Stopped(UserError):
    """A run that was asked to stop: no mistake. It has saved where it is, and the exit code is 75."""


class BadBundle(UserError):
    """A model folder that is not complete, or does not fit what it is asked to do."""


def closest(name: str, candidates: Iterable[str]) -> str:
    """The candidate nearest to `name`, or an empty string where none is near."""
    return next(iter(difflib.get_close_matches(name, list(candidates), n=1, cutoff=0.5)), "")


def candidates_line(name: str, candidates: Iterable[str], noun: str) -> str:
    """One line for a refusal: the nearest candidate, then all of them."""
    ordered = sorted(candidates)
    near = closest(name, ordered)
    return (f"closest: {near}.  " if near else "") + f"{noun}: {', '.join(ordered) or 'none'}"
