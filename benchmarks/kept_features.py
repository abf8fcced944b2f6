"""Training steps with features out of the cache, beside steps with sounds out of it: a row of `data_cache.py`."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pannsdist.contracts.batch import Batch
    from pannsdist.training.train_step import Learner

SOUNDS, FEATURES = "sounds in the cache", "features in the cache"
CONFIG = """\
name: kept
model: {{name: {model}}}
data: {{name: folder, workers: 1, cache: "{root}/cache", cache_features: {kept}, params: {{root: "{root}/sounds"}}}}
train: {{epochs: 1000, batch_size: {batch}, crop_s: 5.0}}
schedule: {{name: constant, warmup_epochs: 0}}
"""


class Steps:
    """Training of a network on clips in the cache, step by step; within `stack` it has workers and an open cache."""

    def __init__(self, model: str, root: Path, batch: int, kept: bool, stack: ExitStack) -> None:
        from pannsdist import settings
        from pannsdist.audio.loader import Loader
        from pannsdist.distributed.fleet import connect
        from pannsdist.registry import Catalog
        from pannsdist.run import building, learner_building
        from pannsdist.run.embeddings.features import build_feature_cache
        from pannsdist.run.planning.decide import decide

        config = root / f"{model}-{kept}.yaml"
        config.write_text(CONFIG.format(model=model, root=root, batch=batch, kept=str(kept).lower()), encoding="utf-8")
        plan = decide(*settings.load(config, ()), Catalog.installed(), 1)
        world, network, self._loader = connect(), building.build_network(plan), Loader(plan.workers)
        stack.callback(self._loader.close)
        features = build_feature_cache(plan, world, network, self._loader)
        if features is not None:
            stack.enter_context(features)
        self._learner: Learner = learner_building.build_learner(plan, world, network)
        self._batches = self._endless(plan, features)
        self._numbers = count(1)
        for _ in range(plan.lengths.epoch_steps):  # fills the cache
            next(self._batches)
        self._step()

    def _endless(self, plan: object, features: object) -> Iterator[Batch]:
        from pannsdist.audio.batches import Shard
        from pannsdist.run.batch_sources import Sources, training_data
        from pannsdist.run.planning.waveforms import waveform_cache

        cache = waveform_cache(plan.settings)  # type: ignore[attr-defined]
        sources = Sources(self._loader, Shard(0, 1), cache=cache, features=features)  # type: ignore[arg-type]
        data = training_data(plan, sources)  # type: ignore[arg-type]
        for epoch in count(1):
            yield from data.batches(epoch, 0)

    def _step(self) -> int:
        batch = next(self._batches)
        self._learner.step(batch, next(self._numbers), len(batch.ids), 0)
        return len(batch.ids)

    def clips_per_s(self) -> float:
        """Clips of a step, per second of this process's processor time; a worker needs 0.05 ms for a cached sound."""
        start = time.process_time()
        clips = self._step()
        return clips / (time.process_time() - start)


def copy_clips(clips: Sequence[Path], root: Path) -> None:
    """A folder of two classes with these clips, of which four are for an evaluation that does not take place."""
    for number, clip in enumerate(clips):
        split = "valid" if number < 4 else "train"
        folder = root / "sounds" / split / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy2(clip, folder)
    time.sleep(2.5)  # what was changed just now is not cached
