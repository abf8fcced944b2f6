"""For plugins: checks of params that depend on each other, with one form of error message."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from pannsdist.runtime.errors import UserError, shell_command

__all__ = ["check_params"]


def check_params(section: str, params: Any, rules: Iterable[tuple[str, bool, str]]) -> None:
    """Check rules (field of `params`, whether it is valid, the allowed values) in order; `section` is as in settings.

    Raises UserError for the first violated rule, with the default as the next command.
    """
    defaults = {item.name: item.default for item in dataclasses.fields(params)}
    for name, valid, right in rules:
        if not valid:
            key, default = f"{section}.{name}", defaults[name]
            command = (
                "" if default is dataclasses.MISSING else f"the same command with {shell_command(f'{key}={default}')}"
            )
            raise UserError(f"{key} is {getattr(params, name)!r}", f"allowed: {right}", command)
