"""What the head of a network gets for each clip: from the cache, else computed once by the default inference engine.

Axes: N clips, E inputs of the head.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from tqdm import tqdm

from pannsdist.audio.batches import ClipTable, EvaluationPlan, Shard
from pannsdist.audio.identity import identity_of
from pannsdist.audio.loader import Loader
from pannsdist.audio.workers.count import worker_count
from pannsdist.cache.arrays import ArrayCache
from pannsdist.contracts import Clip
from pannsdist.contracts.network import Network
from pannsdist.distributed import fleet
from pannsdist.inference.engines.engine import Engine
from pannsdist.inference.engines.output_layer import LOGITS
from pannsdist.inference.engines.selection import build_engine
from pannsdist.inference.heads import without_head
from pannsdist.inference.inference_model import InferenceModel
from pannsdist.run.embeddings import identity
from pannsdist.run.embeddings.identity import key_of, may_be_kept, refuse_not_finite
from pannsdist.run.probing.plan import ProbePlan
from pannsdist.runtime import devices
from pannsdist.runtime.errors import BadClip

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
    sources = {name: source for name, clip in clips.items() if (source := identity_of(clip.source)) is not None}
    keys = {name: key_of(clips[name], source) for name, source in sources.items()}
    known = cache.read(keys.values())
    found = Embeddings({name: np.array(known[key]) for name, key in keys.items() if key in known})
    found.cached = len(found.vectors)
    missing = [clip for name, clip in clips.items() if name not in found.vectors]
    workers = worker_count(plan.settings.data.workers, 1, fleet.device() != devices.CPU) if missing else 0
    with closing(Loader(workers)) as loader:
        for batch_ids, vectors, bad in _computed(plan, divided, loader, missing, engine_name):
            found.vectors.update(zip(batch_ids, vectors, strict=True))
            found.bad += bad
            kept = [name for name in batch_ids if may_be_kept(clips[name], sources.get(name))]
            cache.write({keys[name]: found.vectors[name] for name in kept})
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
                refuse_not_finite(batch.ids, vectors)
                yield batch.ids, vectors, batch.bad
            elif batch.bad:
                yield (), np.zeros((0, 0), np.float32), batch.bad
            bar.update(len(batch.ids) + len(batch.bad))


def _engine(plan: ProbePlan, network: Network, name: str) -> Engine:
    minimum_s = plan.plugins.minimum_samples / plan.plugins.front_end.sample_rate_hz
    lengths_s = (plan.crop_s, plan.crop_s if plan.pads_to_crop else minimum_s, minimum_s)
    labels, multi_label = plan.data.labels, plan.data.multi_label
    return build_engine(InferenceModel(network, plan.plugins.front_end, labels, multi_label, *lengths_s), name)


def recipe(plan: ProbePlan, divided: Divided) -> dict[str, Any]:
    """Everything but the clip that an embedding of the probe depends on."""
    body = identity.Body(plan.plugins, divided.network.arrays(), divided.head)
    return identity.recipe(body, plan.reader, f"in batches of {BATCH_CLIPS}, by the default engine")
