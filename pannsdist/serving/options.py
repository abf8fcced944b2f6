"""What a server serves, and how, as its command says it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pannsdist.runtime.errors import UserError, shell_command
from pannsdist.runtime.stores.urls import is_url
from pannsdist.serving.limits import Limits

BEST_MODEL = "best_model"
METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Environment variable of prometheus-client: the folder in which the processes of one server add up.

It must be set before prometheus-client is imported."""


@dataclass(frozen=True)
class Wanted:
    """A model that is to be served: its name in the API, and its folder or plugin."""

    name: str
    model: str


@dataclass(frozen=True)
class Options:
    """The models, how they run, who may ask, and within what limits; picklable, for the workers."""

    models: Sequence[Wanted]
    engine: str = ""
    precision: str = ""
    device: str = ""
    batch_size: int | None = None
    token: str = field(default="", repr=False)
    origins: Sequence[str] = ()
    limits: Limits = field(default_factory=Limits)


def wanted(arguments: Sequence[str]) -> list[Wanted]:
    """The models that `--model` names: FOLDER, or NAME=FOLDER. Raises UserError for two of one name."""
    found: dict[str, Wanted] = {}
    for text in arguments:
        one = _wanted(text)
        if (other := found.get(one.name)) is not None:
            right = "give one of them another name: --model NAME=FOLDER"
            command = shell_command("pannsdist", "serve", "--model", other.model, "--model", f"{one.name}2={one.model}")
            raise UserError(f"two models have the name '{one.name}': {other.model} and {one.model}", right, command)
        found[one.name] = one
    return list(found.values())


def _wanted(text: str) -> Wanted:
    match = re.fullmatch(r"([A-Za-z0-9._-]+)=(.+)", text, re.DOTALL)
    if match:
        return Wanted(match[1], match[2])
    if is_url(text):  # hf://USER/NAME@REVISION
        return Wanted(text.rstrip("/").rpartition("/")[2].partition("@")[0], text)
    path = Path(text).absolute()
    named = path.parent if path.name == BEST_MODEL else path
    return Wanted(named.name or text, text)
