"""The decision before anything is built: settings become a checked plan.

Each process decides for itself with the same result, so invalid settings end all of them with the same message.
"""

from __future__ import annotations

from pannsdist.audio.mixup import Mixup
from pannsdist.audio.workers.count import worker_count
from pannsdist.distributed import fleet
from pannsdist.kernels import choice
from pannsdist.registry import Catalog
from pannsdist.run.planning.augmentation_sounds import refuse_unusable_sounds
from pannsdist.run.planning.checks import refuse_contradictions
from pannsdist.run.planning.compatibility import refuse_front_end, refuse_misfits, refuse_static_graph
from pannsdist.run.planning.data import TRAIN, load_train_and_valid
from pannsdist.run.planning.frames import choose_frames
from pannsdist.run.planning.kept_features import refuse_random_waveforms
from pannsdist.run.planning.lengths import refuse_lengths, run_lengths
from pannsdist.run.planning.metrics import choose_best_metric, refuse_unsuitable_metrics
from pannsdist.run.planning.plan import Plan
from pannsdist.run.planning.selection import choose_plugins
from pannsdist.run.planning.waveforms import refuse_cache_folder
from pannsdist.run.planning.weights import fetch_weights, refuse_weights_of_others
from pannsdist.runtime import devices, launcher
from pannsdist.settings import SettingsOrigin
from pannsdist.settings.schema import Settings


def decide(
    settings: Settings, origin: SettingsOrigin, catalog: Catalog, world_size: int, downloads: bool = True
) -> Plan:
    """The plan of a run. Raises UserError for settings that cannot work; connects no processes and writes no files.

    Only published weights are downloaded, once everything else is valid, and without `downloads` not even they. Their
    names and shapes are compared last of all.
    """
    refuse_contradictions(settings, origin, world_size)
    plugins = choose_plugins(settings, origin, catalog)
    refuse_front_end(plugins, settings.model.weights)
    data = load_train_and_valid(plugins.dataset, settings, origin)
    refuse_misfits(settings, origin, plugins, data)
    frames = choose_frames(settings, origin, plugins, data)
    refuse_unusable_sounds(plugins)
    refuse_cache_folder(settings, origin, [*data.splits.values(), *([data.test] if data.test else [])])
    refuse_unsuitable_metrics(plugins.metrics, data, origin, frames is not None)
    best_metric = choose_best_metric(settings.select.metric, data, plugins.metrics, origin, catalog.metrics)
    mixup = _choose_mixup(settings, classes=len(data.labels))
    refuse_random_waveforms(settings, origin, plugins, mixup, frames)
    kernels = choice.choose(choice.Wanted.of(settings, origin), fleet.device())
    refuse_static_graph(settings, origin, plugins.model, kernels)
    minimum_s = plugins.minimum_samples / plugins.front_end.sample_rate_hz
    lengths = run_lengths(settings, len(data.splits[TRAIN]), mixup, minimum_s)
    refuse_lengths(lengths, settings, origin, plugins, world_size)
    workers = worker_count(settings.data.workers, -(-world_size // launcher.nodes()), fleet.device() != devices.CPU)
    weights = fetch_weights(settings.model.weights, plugins.model, origin, downloads)
    refuse_weights_of_others(weights, plugins.model, data.labels, plugins.front_end, catalog)
    return Plan(settings, plugins, data, mixup, lengths, best_metric, weights, world_size, kernels, workers, frames)


def _choose_mixup(settings: Settings, classes: int) -> Mixup | None:
    """How training clips are mixed; None where they are not."""
    chosen = settings.mixup
    if not chosen.alpha or settings.train.overfit_batches:
        return None
    return Mixup(chosen.alpha, chosen.pairs, chosen.domain, classes)
