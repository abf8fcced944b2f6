"""PaddleHub-compatible pretrained modules. Axes: B batch, S samples, T frames, F bins, C classes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import nn

from pannsdist.audio.chunks import resample
from pannsdist.audio.loudness import refusal
from pannsdist.audio.verdicts import MAX_RATE_HZ, MIN_RATE_HZ, rate_fault
from pannsdist.audio.windows import sliding_windows
from pannsdist.contracts import FrontEnd
from pannsdist.contracts.network import evaluation_mode
from pannsdist.hub.devices import use_device
from pannsdist.inference import audioset
from pannsdist.inference.bundle import record_beside
from pannsdist.inference.identification import load_or_name
from pannsdist.registry import Catalog
from pannsdist.registry.building import build_plugin
from pannsdist.runtime import console
from pannsdist.runtime.errors import BadWeightsFile, UserError, shell_command
from pannsdist.settings import SettingsOrigin
from pannsdist.weights import LoadReport, read_weights
from pannsdist.weights.downloads.fetch import fetch

TASK = "sound-cls"
VERSIONS = (None, "1.0.0")
BACKBONES = {f"panns_{name}": name for name in ("cnn6", "cnn10", "cnn14")}
"""PaddleHub's attribute names for the network inside a module; otherwise `backbone`, as in PaddleSpeech."""


@dataclass(frozen=True)
class Options:
    """PaddleHub's module options: `task` is 'sound-cls', or None for AudioSet's 527 labels."""

    task: str | None = None
    num_class: int | None = None
    num_classes: int | None = None
    label_map: Mapping[int, str] | None = None
    load_checkpoint: str | Path | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """The label of each output, its index without a `label_map`. Raises UserError for contradicting options."""
        if self.task not in (TASK, None):
            raise UserError(f"task is {self.task!r}", f"allowed: {TASK!r}, or None for AudioSet's labels")
        mapped = None if self.label_map is None else len(self.label_map)
        fixed = len(audioset.labels()) if self.task is None else None
        counts = {count for count in (self.num_class, self.num_classes, mapped, fixed) if count is not None}
        if len(counts) != 1 or min(counts) < 1:
            wrong = f"num_class is {self.num_class or self.num_classes}, and label_map has {mapped or 'no'} entries"
            raise UserError(wrong, f"{fixed} labels" if fixed else "give num_class, or a label_map of the same size")
        if self.label_map is None:
            return audioset.labels() if self.task is None else tuple(map(str, range(counts.pop())))
        labels = tuple(self.label_map.get(number) for number in range(len(self.label_map)))
        if None in labels or len(set(labels)) != len(labels):
            wrong = "label_map does not map consecutive indices from 0 to unique labels"
            raise UserError(wrong, "for example {0: 'Dog', 1: 'Rooster'}")
        return labels  # type: ignore[return-value]


class OptionalFeature(nn.Layer):
    """Apply the feature to waveforms (B, S), and pass precomputed features (B, T, F) through."""

    def __init__(self, feature: nn.Layer) -> None:
        super().__init__()
        self.feature = feature

    def forward(self, batch: paddle.Tensor) -> paddle.Tensor:
        """-> (B, 1, T, F), or the output shape of the feature."""
        return batch.unsqueeze(1) if batch.ndim == 3 else self.feature(batch)


class Module(nn.Layer):
    """`hub.Module(name=..., task='sound-cls', num_class=...)`: a network with published or given weights.

    `name` is any installed model. Weights are the model's first published set, downloaded if missing, or those of
    `load_checkpoint`; the source and the state of the head are printed. Either `label_map` or `num_class` is enough.
    All processes must create it. Raises UserError; only the head is ever randomly initialized.
    """

    def __init__(  # noqa: PLR0913 PaddleHub's signature
        self,
        *,
        name: str | None = None,
        directory: str | None = None,
        version: str | None = None,
        source: str | None = None,
        update: bool = False,
        branch: str | None = None,
        ignore_env_mismatch: bool = False,  # noqa: ARG002 modules have no environment requirements
        **kwargs: Any,
    ) -> None:
        super().__init__()
        _refuse_unsupported(version, directory=directory, source=source, update=update, branch=branch)
        options = Options(**kwargs)
        catalog = Catalog.installed()
        self.task, self.num_class = options.task, len(options.labels)
        self.labels: tuple[str, ...] = ()
        self.clip_s: float | None = None
        self.pads_to_clip = True
        """The length of the clips that it was trained on, in seconds; None where it is unknown."""
        self.has_label_map = options.label_map is not None or options.task is None
        self.describe(options.labels, None)
        entry = catalog.models.find(name or "", "hub.Module(name=...)")
        self.part = build_plugin(entry, {}, SettingsOrigin(), "model.params")
        feature = catalog.features.find(self.part.plugin.feature, f"the feature of model '{entry.name}'")
        self.feature_part = build_plugin(feature, self.part.plugin.feature_params, SettingsOrigin(), "feature.params")
        self.feature = OptionalFeature(self.feature_part.plugin.build())
        self._backbone = BACKBONES.get(entry.name, "backbone")
        self.add_sublayer(self._backbone, self.part.plugin.build(self.labels, self.front_end))
        self.criterion = nn.CrossEntropyLoss()
        self.metric = paddle.metric.Accuracy()
        self._load(options, catalog)

    def describe(self, labels: Sequence[str], clip_s: float | None, pads_to_clip: bool = True) -> None:
        """Take the labels and the clip length of a model folder or of a training, and whether it padded clips to it.

        Labels of another number, and those of a module that has a `label_map`, are left as they are.
        """
        if not self.labels or (len(labels) == self.num_class and not self.has_label_map):
            self.labels = tuple(labels)
        self.label_map = dict(enumerate(self.labels))
        self.clip_s, self.pads_to_clip = clip_s, pads_to_clip

    @property
    def network(self) -> nn.Layer:
        """The wrapped network, also under its own name, such as `cnn14`: (B, 1, T, F) -> logits (B, C)."""
        layer: nn.Layer = getattr(self, self._backbone)
        return layer

    @property
    def front_end(self) -> FrontEnd:
        """The front end that computes the network's input."""
        front_end: FrontEnd = self.feature_part.plugin.front_end
        return front_end

    @property
    def minimum_samples(self) -> int:
        """The minimum length of a waveform, in samples."""
        samples: int = self.part.plugin.minimum_samples(self.front_end)
        return samples

    def forward(self, feats: paddle.Tensor, labels: paddle.Tensor | None = None) -> Any:
        """Features (B, T, F) or waveforms (B, S) -> scores (B, C): softmax, or sigmoid where task is None.

        With `labels` (B) int64: (scores, mean loss, {'acc': accuracy}).
        """
        logits = self.network(self.feature(feats))
        if self.task is None:
            return F.sigmoid(logits)
        scores = F.softmax(logits, axis=1)
        if labels is None:
            return scores
        accuracy = self.metric.update(self.metric.compute(scores, labels.reshape([-1, 1])))
        return scores, self.criterion(logits, labels), {"acc": accuracy}

    def training_step(self, batch: Sequence[paddle.Tensor], batch_idx: int) -> dict[str, Any]:  # noqa: ARG002
        """{'loss', 'metrics'} of a batch (features, labels), for custom training loops; not called by `hub.Trainer`."""
        _, loss, metrics = self._with_labels(batch)
        return {"loss": loss, "metrics": metrics}

    def validation_step(self, batch: Sequence[paddle.Tensor], batch_idx: int) -> dict[str, Any]:  # noqa: ARG002
        """{'metrics'} of a batch (features, labels)."""
        return {"metrics": self._with_labels(batch)[2]}

    def predict(
        self,
        data: Sequence[Sequence[float]],
        sample_rate: int,
        batch_size: int = 1,
        feat_type: str = "mel",
        use_gpu: bool = False,
    ) -> list[OrderedDict[str, float]]:
        """The scores of all labels for each waveform (S,) of `data`, highest first.

        Waveforms are resampled from `sample_rate`, in Hz, to the network's rate. They may differ in length. A trained
        module, or one loaded from a model folder, pads and cuts them to the clips that it was trained on, and averages,
        as `pannsdist predict` does. Of any other the network gets a whole waveform, padded to its minimum length.
        Scores do not depend on the other clips of a batch.
        """
        wanted = "raw" if self.front_end.kind == "waveform" else "mel"
        if feat_type != wanted:
            raise UserError(f"feat_type is {feat_type!r}", f"{self.part.entry.name} takes {wanted!r}")
        if batch_size < 1 or rate_fault(sample_rate):
            allowed = f"allowed: a batch of 1 or more, a rate from {MIN_RATE_HZ} to {MAX_RATE_HZ} Hz"
            raise UserError(f"batch_size is {batch_size} and sample_rate {sample_rate}", allowed)
        use_device(self, use_gpu)
        waveforms = [self._waveform(samples, sample_rate, number) for number, samples in enumerate(data)]
        owners, windows = zip(
            *((row, part) for row, one in enumerate(waveforms) for part in self._windows(one)), strict=True
        )
        outputs = np.zeros((len(windows), self.num_class))
        with evaluation_mode(self), paddle.no_grad():
            for rows in _equal_length_batches(windows, batch_size):
                outputs[rows] = self(paddle.to_tensor(np.stack([windows[row] for row in rows]))).numpy()
        means = [outputs[np.equal(owners, row)].mean(axis=0).astype(np.float32) for row in range(len(waveforms))]
        return [self._ranked(mean) for mean in means]

    def _windows(self, mono: np.ndarray) -> list[np.ndarray]:
        """The windows of a waveform at the network's rate, as predictions from a model folder cut them."""
        if self.clip_s is None:
            return [np.pad(mono, (0, max(0, self.minimum_samples - len(mono))))]
        samples = max(self.minimum_samples, round(self.clip_s * self.front_end.sample_rate_hz))
        padded = samples if self.pads_to_clip else self.minimum_samples
        return [window.waveform for window in sliding_windows([mono], samples, samples, padded)]

    def _ranked(self, scores: np.ndarray) -> OrderedDict[str, float]:
        return OrderedDict((self.labels[i], float(scores[i])) for i in np.argsort(-scores, kind="stable"))

    def _waveform(self, samples: Sequence[float], sample_rate: int, number: int) -> np.ndarray:
        array = np.asarray(samples, np.float32)
        if array.ndim != 1 or array.size == 0 or not np.isfinite(array).all():
            wrong = f"data[{number}] is not a waveform: shape {array.shape}"
            raise UserError(wrong, "one dimension of finite samples, such as librosa.load(path, sr=sample_rate)[0]")
        if why := refusal(array):
            raise UserError(f"data[{number}]: {why}")
        return resample(array, sample_rate, self.front_end.sample_rate_hz)

    def _with_labels(self, batch: Sequence[paddle.Tensor]) -> Any:
        if self.task != TASK:
            raise UserError(f"the module was created with task={self.task!r}", f"training needs task={TASK!r}")
        self.metric.reset()
        return self(batch[0], batch[1])

    def _load(self, options: Options, catalog: Catalog) -> None:
        name, head = self.part.entry.name, self.part.plugin.head
        path = _published(name, self.part.plugin) if options.load_checkpoint is None else Path(options.load_checkpoint)
        record = record_beside(path)
        if record is not None:
            self.describe(record.labels, record.crop_s, record.pads_to_crop)
        report = load_or_name(self.network, read_weights(path), head, catalog)
        if not _may_start(report, self.task):
            wrong = f"{path} has another number of classes: its head would be {report.head}"
            raise BadWeightsFile(
                wrong, f"expected {self.num_class} classes", shell_command("pannsdist", "weights", "inspect", path)
            )
        console.print_main(f"{name} starts from {path}: {report}")


def trainable(model: nn.Layer, kwargs: Mapping[str, Any]) -> Module:
    """The model, if `hub.Trainer` trains it, and has no other arguments. Raises TypeError, UserError."""
    if not isinstance(model, nn.Layer):
        raise TypeError(f"the model is a {type(model).__name__}, not a paddle.nn.Layer")
    if kwargs:
        raise TypeError(f"hub.Trainer has no arguments {', '.join(kwargs)}")
    if not isinstance(model, Module):
        raise UserError(f"the model is a {type(model).__name__}", "hub.Trainer trains instances of hub.Module")
    if model.task != TASK:
        raise UserError(f"the model was created with task={model.task!r}", f"training needs task={TASK!r}")
    return model


def _refuse_unsupported(version: str | None, **options: Any) -> None:
    given = [name for name, value in options.items() if value]
    if given:
        raise UserError(
            f"hub.Module does not support {', '.join(given)}", "name an installed model", "pannsdist plugins list"
        )
    if version not in VERSIONS:
        raise UserError(f"version is {version!r}", "allowed: '1.0.0' or None")


def _published(name: str, plugin: Any) -> Path:
    """The file of the model's first published weights, downloaded if missing."""
    for weights in plugin.weights.values():
        return fetch(weights)
    right = "give a weights file as load_checkpoint=FILE"
    raise BadWeightsFile(f"model '{name}' has no published weights", right, "pannsdist weights list")


def _may_start(report: LoadReport, task: str | None) -> bool:
    """Whether the head is kept, or is new because the weights have AudioSet's classes or no head."""
    replaceable = ("remade (none", f"remade ({len(audioset.labels())} ")
    return report.head == "kept" or (task is not None and report.head.startswith(replaceable))


def _equal_length_batches(waveforms: Sequence[np.ndarray], batch_size: int) -> Iterator[list[int]]:
    """Rows of waveforms of equal length, at most `batch_size` at a time."""
    by_length: dict[int, list[int]] = {}
    for row, waveform in enumerate(waveforms):
        by_length.setdefault(len(waveform), []).append(row)
    for rows in by_length.values():
        yield from (rows[first : first + batch_size] for first in range(0, len(rows), batch_size))
