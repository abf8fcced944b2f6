"""The address of a model on a hub: `hf://USER/NAME[@REVISION]` or `modelscope://USER/NAME[@REVISION]`."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from pannsdist.runtime.errors import UserError
from pannsdist.runtime.names import shown
from pannsdist.runtime.redaction import without_credentials
from pannsdist.runtime.stores import urls
from pannsdist.runtime.stores.hub import KINDS
from pannsdist.runtime.stores.urls import Url

HUBS = ("hf", "modelscope")
_PART = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
_ADDRESS = re.compile(rf"({_PART})/({_PART})(?:@({_PART}))?")
FORM = "USER/NAME, or USER/NAME@REVISION: a branch, a tag or a commit"


@dataclass(frozen=True)
class Address:
    """A repository with a model. `revision` is a branch, a tag or a commit; empty for the default branch."""

    hub: str
    repository: str
    revision: str = ""

    def __str__(self) -> str:
        return f"{self.hub}://{self.repository}" + (f"@{self.revision}" if self.revision else "")

    @property
    def url(self) -> Url:
        """The repository as the stores know it."""
        owner, _, name = self.repository.partition("/")
        return Url(self.hub, owner, f"{name}@{self.revision}" if self.revision else name)

    def at(self, revision: str) -> Address:
        """The same repository at another revision."""
        return replace(self, revision=revision)


def parsed(text: str) -> Address:
    """The address that a text is. Raises UserError for any other URL, and for a part that no hub allows."""
    hub, _, rest = text.strip().partition("://")
    url = urls.parsed(text) if hub.lower() not in HUBS else None
    if url is not None:
        right = f"models are read from {' and '.join(f'{name}://' for name in HUBS)}; copy others to a folder"
        raise UserError(f"{url} is no place of a model", right)
    found = _ADDRESS.fullmatch(rest)
    if found is None or ".." in rest or found[1] in KINDS:
        named = shown(without_credentials(text))
        raise UserError(f"{named} is no address of a model", f"such as {hub.lower()}://{FORM}")
    return Address(hub.lower(), f"{found[1]}/{found[2]}", found[3] or "")
