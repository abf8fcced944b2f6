"""What a request is refused with: one JSON shape for every status."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from pannsdist.runtime.errors import UserError


@dataclass(eq=False)
class Refused(Exception):
    """The end of a request: a status, a code that stays, a message for people, and what would be right."""

    status: int
    code: str
    message: str
    hint: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def record(self) -> dict[str, str]:
        """Its fields, for JSON; `hint` only if there is one."""
        return {"code": self.code, "message": self.message, **({"hint": self.hint} if self.hint else {})}

    @property
    def body(self) -> bytes:
        """The body of the response."""
        return json.dumps({"error": self.record}, ensure_ascii=False).encode()


def of_user_error(error: UserError, code: str) -> Refused:
    """What the library refuses: 422, with its own words."""
    return Refused(422, code, error.wrong, " ".join(filter(None, (error.right.replace("\n", " "), error.command))))


def too_large(megabytes: float) -> Refused:
    """A body over the limit."""
    return Refused(413, "body_too_large", f"the body is larger than {megabytes:g} MB", "send fewer or shorter sounds")
