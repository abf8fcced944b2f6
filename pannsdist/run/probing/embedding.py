"""What the head of a network gets for each clip: from the cache, else computed once by the default inference engine.

Axes: N clips, E inputs of the head.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
from tqdm import tqdm

from pannsdist.audio.batches import ClipTable, EvaluationPlan, Shard
from pannsdist.audio.loader import Loader
from pannsdist.cache.arrays import ArrayCache
from pannsdist.cache.keys import FileState
from pannsdist.contracts import Clip
from pannsdist.contracts.network import Network
from pannsdist.inference.engines.engine import Engine
from pannsdist.inference.engines.output_layer import LOGITS
from pannsdist.inference.engines.selection import build_engine
from pannsdist.inference.heads import without_head
from pannsdist.inference.inference_model import InferenceModel
from pannsdist.run import history
from pannsdist.run.building import plugin_record
from pannsdist.run.probing.plan import ProbePlan
from pannsdist.runtime.errors import BadClip, UserError

BATCH_CLIPS = 8


@dataclass(frozen=True)
class Divided:
    """A network in evaluation mode, and the structured name of its last layer, which a probe trains."""

    network: Network
    head: str


@dataclass
class Embeddings:
    """Vectors (E,) float32 by clip id, the clips that were skipped, and how many vectors were in the cache."""

    vectors: dict[str, np.ndarray] = field(default_factory=dict)
    bad: list[BadClip] = field(default_factory=list)
    cached: int = 0

    def rows(self, table: ClipTable) -> np.ndarray:
        """The rows of a table that have a vector."""
        return np.array([row for row, clip in enumerate(table.clips) if clip.id in self.vectors], np.int64)

    def of(self, table: ClipTable, rows: np.ndarray) -> np.ndarray:
        """The vectors of these rows: (N, E) float64."""
        return np.stack([self.vectors[table.clips[row].id] for row in rows]).astype(np.float64)


def embed(plan: ProbePlan, divided: Divided, cache: ArrayCache, engine_name: str = "") -> Embeddings:
    """The embedding of every clip of the plan; each is read and computed at most once.

    Raises BadClip unless bad clips are to be skipped, UserError for embeddings that are not finite.
    """
    clips = {clip.id: clip for table in plan.tables for clip in table.clips}
    states = {name: state for name, clip in clips.items() if (state := _state(clip)) is not None}
    keys = {
        name: state.key({"start_s": clips[name].start_s, "duration_s": clips[name].duration_s})
        for name, state in states.items()
    }
    known = cache.read(keys.values())
    found = Embeddings({name: np.array(known[key]) for name, key in keys.items() if key in known})
    found.cached = len(found.vectors)
    missing = [clip for name, clip in clips.items() if name not in found.vectors]
    with closing(Loader(plan.settings.data.workers if missing else 0)) as loader:
        for batch_ids, vectors, bad in _computed(plan, divided, loader, missing, engine_name):
            found.vectors.update(zip(batch_ids, vectors, strict=True))
            found.bad += bad
            cache.write({keys[name]: found.vectors[name] for name in batch_ids if _is_unchanged(clips[name], states)})
    return found


def _computed(
    plan: ProbePlan, divided: Divided, loader: Loader, clips: Sequence[Clip], engine_name: str
) -> Iterator[tuple[tuple[str, ...], np.ndarray, tuple[BadClip, ...]]]:
    """(ids, vectors (B, E), skipped clips) of each batch, under a progress bar."""
    table = ClipTable(clips, np.zeros(len(clips), np.int64))
    skip_bad = plan.settings.data.on_bad_clip == "skip"
    batches = EvaluationPlan(table, BATCH_CLIPS if plan.pads_to_crop else 1, plan.reader, skip_bad)
    is_quiet = not sys.stderr.isatty()
    with (
        without_head(divided.network, divided.head),
        tqdm(total=len(clips), unit="clip", leave=False, file=sys.stderr, disable=is_quiet) as bar,
    ):
        engine = _engine(plan, divided.network, engine_name) if clips else None
        for batch in loader.read(batches.requests(Shard(0, 1))):
            if engine is not None and len(batch.ids):
                vectors = engine.run(LOGITS, batch.waveforms)
                _refuse_not_finite(batch.ids, vectors)
                yield batch.ids, vectors, batch.bad
            elif batch.bad:
                yield (), np.zeros((0, 0), np.float32), batch.bad
            bar.update(len(batch.ids) + len(batch.bad))


def _engine(plan: ProbePlan, network: Network, name: str) -> Engine:
    minimum_s = plan.plugins.minimum_samples / plan.plugins.front_end.sample_rate_hz
    lengths_s = (plan.crop_s, plan.crop_s if plan.pads_to_crop else minimum_s, minimum_s)
    labels, multi_label = plan.data.labels, plan.data.multi_label
    return build_engine(InferenceModel(network, plan.plugins.front_end, labels, multi_label, *lengths_s), name)


def _refuse_not_finite(ids: Sequence[str], vectors: np.ndarray) -> None:
    bad = [name for name, vector in zip(ids, vectors, strict=True) if not np.isfinite(vector).all()]
    if bad:
        wrong = f"the network gives values that are not finite for clip '{bad[0]}'"
        right = "its weights may be damaged or the clip extreme: look at the clip, or try other weights"
        raise UserError(wrong, right, "pannsdist data check -c FILE")


def _state(clip: Clip) -> FileState | None:
    """The state of the clip's file; None for a clip that is no file, which is computed each time."""
    return FileState.of(clip.source) if isinstance(clip.source, Path) else None


def _is_unchanged(clip: Clip, states: Mapping[str, FileState]) -> bool:
    """Whether the file is what it was before it was read, and will have another state after its next change."""
    before = states.get(clip.id)
    return before is not None and before.is_settled and _state(clip) == before


def recipe(plan: ProbePlan, divided: Divided) -> dict[str, Any]:
    """Everything but the clip that an embedding depends on."""
    reader, plugins = plan.reader, plan.plugins
    parts = {"model": plugin_record(plugins.model), "feature": plugin_record(plugins.feature)}
    return {
        "what": f"input of the layer '{divided.head}', float32",
        "plugins": {kind: [one.name, str(one.origin), repr(sorted(one.params.items()))] for kind, one in parts.items()},
        "front_end": repr(plugins.front_end),
        "body": body_digest(divided),
        "reader": {name: repr(value) for name, value in vars(reader).items() if name in READER_KEYS},
        "versions": {
            **history.versions(),
            "soxr": soxr.__version__,
            "libsndfile": soundfile.__libsndfile_version__,
            "numpy": np.__version__,
        },
    }


READER_KEYS = ("rate_hz", "crop_samples", "min_clip_s", "pad_samples")


def body_digest(divided: Divided) -> str:
    """The SHA-256 of all weights but those of the last layer."""
    found = hashlib.sha256()
    for name, array in sorted(divided.network.arrays().items()):
        if not name.startswith(f"{divided.head}."):
            found.update(f"{name} {array.dtype} {array.shape}\n".encode())
            found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()
