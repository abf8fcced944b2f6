"""What leaves this machine of a `bundle.json`: no credentials, no secrets, no places of files."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from pannsdist.runtime.errors import UserError
from pannsdist.runtime.redaction import hidden_keys, is_secret, without_credentials, without_secrets
from pannsdist.runtime.stores.urls import is_url

BUILT = ("model", "feature")
"""The plugins that a model folder builds: a place in their params is one that no other machine has."""
_LABEL = re.compile(r"/[a-z]/[0-9a-z_]+")
"""A name of AudioSet's ontology, such as /m/09x0r, is no path."""
SHORTEST_SECRET = 8
_TOKENS = re.compile(
    r"\b(?:hf_[A-Za-z0-9]{30,}|gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{30,}|glpat-[\w-]{20,}|AKIA[A-Z0-9]{16}"
    r"|sk-[A-Za-z0-9_-]{32,}|xox[abprs]-[\w-]{10,}|ms-[0-9a-f]{8}-[0-9a-f-]{20,}|eyJ[\w-]{10,}\.eyJ[\w-]{10,})"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY"
)


def public_record(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a `bundle.json` for others: places in settings and params become the names of files.

    Raises UserError for a secret, and for a model or a feature that cannot be built without a file of this machine.
    """
    hidden = without_secrets(content)
    if found := sorted(set(hidden_keys(hidden)) - set(hidden_keys(content))):
        right = "remove its value from bundle.json; a token that was written down should be replaced, too"
        raise UserError(f"bundle.json holds what looks like a secret: {', '.join(found)}", right)
    public = dict(content)
    for key in ("settings", "dataset", "further"):
        if key in public:
            public[key] = _public(public[key])
    for key in BUILT:
        if key in public and _public(public[key]) != public[key]:
            wrong = f"the params of the {key} plugin hold a path of this machine, or credentials"
            raise UserError(wrong, "the model cannot be built elsewhere: train it with params without a path")
    return public


def refuse_secrets(name: str, text: str) -> None:
    """Raise UserError where a text that is to be published holds a token, or a secret of the environment."""
    if _TOKENS.search(text):
        raise UserError(f"{name} holds what looks like a token", "remove it from the model folder, and replace it")
    for variable, value in os.environ.items():
        if is_secret(variable) and len(value) >= SHORTEST_SECRET and value in text:
            raise UserError(f"{name} holds the value of {variable}", "remove it from the model folder, and replace it")


def _public(tree: Any) -> Any:
    if isinstance(tree, Mapping):
        return {key: _public(value) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return [_public(value) for value in tree]
    return _without_place(without_credentials(tree)) if isinstance(tree, str) else tree


def _without_place(text: str) -> str:
    """The name of a file whose path is absolute, below the home folder, or leads out of the working folder."""
    path = PurePath(text)
    if is_url(text) or _LABEL.fullmatch(text):
        return text
    is_place = (path.is_absolute() and len(path.parts) > 1) or path.parts[:1] == ("~",) or ".." in path.parts
    return path.name.replace("..", "") if is_place else text
