"""The models of a server, by name."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pannsdist.inference.model import Model
from pannsdist.runtime.errors import candidates_line
from pannsdist.runtime.foreign import excerpt
from pannsdist.serving.failures import Refused


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
