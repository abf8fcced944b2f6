"""The models of a server, by name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pannsdist.inference.model import Model
from pannsdist.runtime.errors import UserError, candidates_line, shell_command
from pannsdist.runtime.foreign import excerpt
from pannsdist.serving.failures import Refused

BEST_MODEL = "best_model"


@dataclass(frozen=True)
class Wanted:
    """A model that is to be served: its name in the API, and its folder or plugin."""

    name: str
    model: str


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
    path = Path(text).absolute()
    named = path.parent if path.name == BEST_MODEL else path
    return Wanted(named.name or text, text)


class Served:
    """The models that answer, the default one first."""

    def __init__(self, models: dict[str, Model]) -> None:
        self._models = models

    def find(self, name: str) -> tuple[str, Model]:
        """The model of a name, or the first one without a name. Raises Refused, 404."""
        name = name or next(iter(self._models))
        if name not in self._models:
            right = candidates_line(name, self._models, "models")
            raise Refused(404, "unknown_model", f"no model '{excerpt(name)}' is served", right)
        return name, self._models[name]

    def records(self) -> list[dict[str, Any]]:
        """What the page and clients need to know of each model."""
        return [
            _record(name, model, is_default=number == 0) for number, (name, model) in enumerate(self._models.items())
        ]


def _record(name: str, model: Model, is_default: bool) -> dict[str, Any]:
    own, choice = model.inference_model, model.engine
    return {
        "name": name,
        "is_default": is_default,
        "labels": list(model.labels),
        "multi_label": model.multi_label,
        "sample_rate_hz": model.sample_rate_hz,
        "window_s": own.window_s,
        "has_frames": own.has_framewise,
        "frame_s": own.frame_s,
        "has_decisions": model.decisions is not None,
        "front_end": asdict(model.front_end),
        "network": own.name,
        "engine": {"engine": choice.engine, "precision": choice.precision, "batch_size": choice.batch_size},
    }
