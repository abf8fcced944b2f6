"""What identifies an embedding in the cache of arrays: how it was computed, and of which clip."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pannsdist import settings as settings_module
from pannsdist.audio.clip_reader import ClipReader
from pannsdist.audio.identity import identity_of, reader_versions
from pannsdist.cache.keys import Identity
from pannsdist.contracts import Clip
from pannsdist.registry.building import Part
from pannsdist.run import history
from pannsdist.run.planning.selection import Plugins
from pannsdist.runtime import cpu
from pannsdist.runtime.errors import UserError

READER_KEYS = ("rate_hz", "crop_samples", "min_clip_s", "pad_samples", "is_16_bit")


@dataclass(frozen=True)
class Body:
    """A network by its plugins and weights, and the layer whose input (E,) is the embedding of a clip."""

    plugins: Plugins
    weights: Mapping[str, np.ndarray]
    layer: str


def recipe(body: Body, reader: ClipReader, computed: str) -> dict[str, Any]:
    """Everything but the clip that an embedding depends on; `computed` says by what, and in which batches."""
    parts = {"model": body.plugins.model, "feature": body.plugins.feature}
    return {
        "what": f"input of the layer '{body.layer}', float32",
        "computed": computed,
        "plugins": {kind: [one.entry.name, str(one.entry.origin), params_of(one)] for kind, one in parts.items()},
        "front_end": repr(body.plugins.front_end),
        "body": body_digest(body),
        "reader": reader_recipe(reader),
        "processor": cpu.processor().name,  # another one may round in another way
        "versions": {**history.versions(), **reader_versions()},
    }


def reader_recipe(reader: ClipReader) -> dict[str, str]:
    """What of a reader its waveforms depend on."""
    return {name: repr(value) for name, value in vars(reader).items() if name in READER_KEYS}


def params_of(part: Part) -> str:
    """The parameters of a plugin as text."""
    return repr(sorted(settings_module.to_dict(part.params).items()))


def body_digest(body: Body) -> str:
    """The SHA-256 of all weights but those of the layer."""
    found = hashlib.sha256()
    for name, array in sorted(body.weights.items()):
        if not name.startswith(f"{body.layer}."):
            found.update(f"{name} {array.dtype} {array.shape}\n".encode())
            found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def key_of(clip: Clip, source: Identity, **further: Any) -> bytes:
    """The key of what is made of a clip whose source is this."""
    part: Mapping[str, Any] = {"start_s": clip.start_s, "duration_s": clip.duration_s, **further}
    return source.key(part)


def may_be_kept(clip: Clip, before: Identity | None) -> bool:
    """Whether the source is what it was before it was read, and will have another version after its next change."""
    return before is not None and before.is_settled and identity_of(clip.source) == before


def refuse_not_finite(ids: Sequence[str], vectors: np.ndarray) -> None:
    """Raise UserError for vectors (N, E) of which one is not finite; nothing would be learned from it."""
    bad = [name for name, vector in zip(ids, vectors, strict=True) if not np.isfinite(vector).all()]
    if bad:
        wrong = f"the network gives values that are not finite for clip '{bad[0]}'"
        right = "its weights may be damaged or the clip extreme: look at the clip, or try other weights"
        raise UserError(wrong, right, "pannsdist data check -c FILE")
