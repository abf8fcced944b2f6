"""Evaluation of a model folder on a split of a dataset."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import paddle

from pannsdist.audio.batches import EvaluationPlan, Shard
from pannsdist.audio.clip_reader import ClipReader
from pannsdist.audio.loader import Loader
from pannsdist.audio.workers.count import worker_count
from pannsdist.contracts.batch import Batch
from pannsdist.distributed.fleet import SingleProcessWorld
from pannsdist.inference.bundle import Bundle, BundleRecord, load_bundle, require_installed
from pannsdist.inference.decisions import Decisions
from pannsdist.kernels import choice, install
from pannsdist.registry import Catalog
from pannsdist.registry.building import Part
from pannsdist.run.building import plugin_record
from pannsdist.run.data_record import DATA_FILE, changes, data_record, read_data_record
from pannsdist.run.evaluation_output import EvaluatedSplit
from pannsdist.run.planning.data import Data, load_data
from pannsdist.run.planning.frames import recorded_frames
from pannsdist.run.planning.metrics import plugin_metrics, refuse_unsuitable_metrics
from pannsdist.run.planning.selection import choose_dataset, choose_metrics
from pannsdist.run.planning.waveforms import INT16
from pannsdist.runtime import console, devices
from pannsdist.runtime.errors import BadBundle
from pannsdist.settings import SettingsOrigin
from pannsdist.settings.schema import Settings
from pannsdist.training.evaluator import Evaluator, SplitToEvaluate


def evaluate_bundle(  # noqa: PLR0913, PLR0917 - what is evaluated, whether by its decisions, and in what form
    folder: Path,
    settings: Settings,
    origin: SettingsOrigin,
    catalog: Catalog,
    split: str,
    raw: bool = False,
    instead: paddle.nn.Layer | None = None,
) -> EvaluatedSplit:
    """Evaluate the model in `folder` on a split of the dataset of the settings, in one process.

    The kernels are those that a training with these settings uses: its scores to the last digit. `instead` stands for
    the network, with its input and outputs: an exported graph of it.

    Clips are read as in the validation of the training run. The metric plugins of that run are computed too, unless the
    settings set them to null, and those of the settings. The scores of the model's decisions follow, unless `raw`.
    Raises BadBundle if the labels differ, if one has one label for each clip and the other several, or if the dataset
    or a metric of the run is not installed.
    """
    bundle = load_bundle(folder, catalog)
    record = bundle.record
    if settings.data.name.rpartition(":")[2] == record.dataset.name:
        require_installed(record.dataset, "dataset", catalog, "to evaluate on another one: data.name=NAME")
    data = load_data(choose_dataset(settings.data, origin, catalog), (split,))
    for skipped in data.part.skipped:
        console.note_main(f"left out: {skipped}")
    _refuse_other_labels(folder, tuple(record.labels), data.labels)
    _refuse_other_kind(folder, record.multi_label, data)
    _note_other_clips(folder, record, data, split)
    metrics = _metrics(record, settings, origin, catalog, data)
    plan = _plan(bundle, settings, data, split)
    world = SingleProcessWorld()
    if instead is None:
        install(bundle.network.model, choice.choose(choice.Wanted.of(settings, origin), world.device))
    network = bundle.network if instead is None else instead
    evaluator = Evaluator(world, network, record.labels, record.multi_label, plugin_metrics(metrics))
    workers = worker_count(settings.data.workers, 1, world.device != devices.CPU)
    return _evaluated(evaluator, split, plan, workers, None if raw else record.decisions)


def _evaluated(
    evaluator: Evaluator, split: str, plan: EvaluationPlan, workers: int, decisions: Decisions | None
) -> EvaluatedSplit:
    loader = Loader(workers)
    try:
        found = evaluator.evaluate(_split(split, plan, loader))
    finally:
        loader.close()
    assert found.predictions is not None  # rank 0
    return EvaluatedSplit(split, found, found.predictions, decisions)


def _plan(bundle: Bundle, settings: Settings, data: Data, split: str) -> EvaluationPlan:
    record, reader = bundle.record, _reader(bundle, settings.data.min_clip_s)
    batch_size = settings.valid.batch_size if record.pads_to_crop else 1
    frames, skip_bad = recorded_frames(record), settings.data.on_bad_clip == "skip"
    grid = None if frames is None else frames.grid(data.labels)
    return EvaluationPlan(data.splits[split], batch_size, reader, skip_bad, grid)


def _split(name: str, plan: EvaluationPlan, loader: Loader) -> SplitToEvaluate:
    """A split in this process alone."""

    def batches() -> Iterable[Batch]:
        return loader.read(plan.requests(Shard(0, 1)))

    return SplitToEvaluate(name, plan.ids, batches, plan.groups, events=plan.events, frame_s=plan.frame_s)


def _reader(bundle: Bundle, chosen_s: float | None) -> ClipReader:
    """Reads clips as the validation of the training run did; shorter ones than `chosen_s`, if given, are bad."""
    record, rate_hz = bundle.record, bundle.record.front_end.sample_rate_hz
    min_clip_s = bundle.minimum_s if chosen_s is None else chosen_s
    pad_samples = round(bundle.inference_model.pad_to_s * rate_hz)
    is_16_bit = dict(record.settings.get("data", {})).get("cache_dtype") == INT16
    return ClipReader(rate_hz, round(record.crop_s * rate_hz), min_clip_s, pad_samples, is_16_bit=is_16_bit)


def _note_other_clips(folder: Path, record: BundleRecord, data: Data, split: str) -> None:
    """Say where the clips are not those that the run in the folder above evaluated, of the same dataset and split."""
    known = read_data_record(folder.parent / DATA_FILE)
    is_same = plugin_record(data.part) == record.dataset
    if known is None or not is_same or split not in known[0].splits:
        return
    before = replace(known[0], splits={split: known[0].splits[split]})
    found = changes(before, data_record(data)).lines
    if found:
        console.note_main(f"the clips are not those that the run evaluated: {'; '.join(found)}")


def _metrics(
    record: BundleRecord, settings: Settings, origin: SettingsOrigin, catalog: Catalog, data: Data
) -> dict[str, Part]:
    """The metric plugins of the training run with their params, overridden by those of the settings."""
    section = "metrics."
    known = {key.removeprefix(section): one for key, one in record.further.items() if key.startswith(section)}
    wanted = {**{name: one.params for name, one in known.items()}, **settings.metrics}
    for name, one in known.items():
        if wanted[name] is not None:
            require_installed(one, "metric", catalog, f"to leave it out: {section}{name}=null")
    chosen = choose_metrics(wanted, origin, catalog)
    refuse_unsuitable_metrics(chosen, data, origin, recorded_frames(record) is not None)
    return chosen


def _refuse_other_labels(folder: Path, known: tuple[str, ...], found: tuple[str, ...]) -> None:
    if known == found:
        return
    first = next((i for i, (a, b) in enumerate(zip(known, found, strict=False)) if a != b), min(len(known), len(found)))
    left, right = (names[first] if first < len(names) else "nothing" for names in (known, found))
    raise BadBundle(
        f"the labels of the dataset differ from those of the model in {folder}",
        f"the model has {len(known)}, the dataset {len(found)}; label {first}: model '{left}', dataset '{right}'",
    )


def _refuse_other_kind(folder: Path, multi_label: bool, data: Data) -> None:
    if multi_label == data.multi_label:
        return
    kinds = {False: "one label for each clip", True: "several labels for a clip, or none"}
    raise BadBundle(
        f"the model in {folder} has {kinds[multi_label]}, and {data.part} {kinds[data.multi_label]}",
        "give the settings of its run, or a dataset of the same kind as -c FILE",
    )
