"""Batches of embeddings in place of waveforms, while the whole body of a network is frozen.

Axes: B clips of a batch, S samples, E size of an embedding.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pannsdist.audio.batch_reading import BatchRequest
from pannsdist.audio.clip_reader import ClipReader
from pannsdist.audio.loader import Loader
from pannsdist.cache.arrays import cache_folder
from pannsdist.contracts.batch import Batch
from pannsdist.contracts.network import Network
from pannsdist.distributed.world import World
from pannsdist.inference.heads import head_inputs
from pannsdist.run.embeddings.engine import BodyEngine, engine_name
from pannsdist.run.embeddings.identity import Body, recipe, refuse_not_finite
from pannsdist.run.embeddings.kept import KeptArrays, Place
from pannsdist.run.embeddings.network_check import Finding, examine
from pannsdist.run.planning.frozen_body import obstacle
from pannsdist.run.planning.plan import Plan
from pannsdist.runtime import console


def build_frozen_body(plan: Plan, world: World, network: Network, loader: Loader) -> FrozenBody | None:
    """The embeddings of a run whose frozen body is computed once for each clip; None for any other.

    All processes must call this, once the stages are frozen. Prints why where it is the network's part.
    """
    if not plan.freezes_body or obstacle(plan):
        return None
    found = world.on_main(lambda: examined(plan, network))
    if found.reason:
        console.print_main(remark(found))
    return FrozenBody(plan, network, loader, found.size) if found.size else None


def examined(plan: Plan, network: Network) -> Finding:
    """What noise shows about the network of a run."""
    return examine(network, round(plan.lengths.train_crop_s * plan.front_end.sample_rate_hz))


def remark(found: Finding) -> str:
    """A line that says why the body is computed in every step."""
    return f"the frozen body is computed in every step: of the network, {found.reason}"


class FrozenBody:
    """The embeddings of a run's clips while its body is frozen; every process has one. A context manager.

    `batches` may be called within it only: on entering, the weights are those that an embedding is computed with.
    `size` is E.
    """

    def __init__(self, plan: Plan, network: Network, loader: Loader, size: int) -> None:
        self._plan, self._network, self._loader, self._size = plan, network, loader, size

    def __enter__(self) -> FrozenBody:
        weights, plugins = self._network.arrays(), self._plan.plugins
        body = Body(plugins, weights, plugins.model.plugin.head)
        part = _BodyPart(body, BodyEngine(self._plan, weights), engine_name(self._plan), self._network, self._size)
        self._kept = KeptArrays(part, self._loader, Place(cache_folder(), self._plan.settings.data.cache_limit_gb))
        return self

    def __exit__(self, *given: object) -> None:
        self._kept.__exit__(*given)

    def covers(self, epoch: int) -> bool:
        """Whether the body is frozen in an epoch, counted from 1."""
        unfrozen = self._plan.settings.train.unfreeze_epoch
        return unfrozen is None or epoch < unfrozen

    def batches(self, requests: Iterable[BatchRequest]) -> Iterator[Batch]:
        """A batch of embeddings for each request. Raises what reading raises, and UserError for values not finite."""
        for batch in self._kept.batches(requests):
            refuse_not_finite(batch.ids, batch.waveforms)
            yield replace(batch, is_embedded=bool(batch.ids))


@dataclass(frozen=True)
class _BodyPart:
    """All of a network but its head, whose input is an embedding (E,)."""

    body: Body
    engine: BodyEngine
    engine_name: str
    network: Network
    size: int
    name: str = "embeddings"

    def shape(self, _: ClipReader) -> tuple[int, ...]:
        return (self.size,)

    def recipe(self, reader: ClipReader) -> dict[str, Any]:
        return recipe(self.body, reader, f"one by one, by the engine {self.engine_name}")

    def alone(self, waveform: np.ndarray) -> np.ndarray:
        embedding: np.ndarray = self.engine.run(waveform)[0]
        return embedding

    def together(self, waveforms: np.ndarray) -> np.ndarray:
        return head_inputs(self.network, self.body.layer, waveforms)

    def gives(self, waveform: np.ndarray, array: np.ndarray) -> bool:
        return self.engine.gives(waveform, array)
