"""Protocols of dataset, feature, augmentation and model plugins.

Axes: B batch, S samples, T frames, F bins, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from pannsdist.contracts.records import Clip, FrontEnd, Pretrained

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import paddle


class DatasetPlugin(Protocol):
    """Labelled clips in fixed splits. Built as `plugin(params)`, which raises UserError if the root is missing.

    Optional attributes: `downloads`, a tuple of `Download` on the class, with `unpacks_to`, the root below the download
    folder; and `missing`, a sequence with one item per listed clip that is skipped because its file is missing.
    """

    Params: ClassVar[type]

    @property
    def labels(self) -> Sequence[str]:
        """Class names in the order of the network's outputs."""
        ...

    @property
    def multi_label(self) -> bool:
        """Whether a clip may have several labels, or none."""
        ...

    @property
    def splits(self) -> Sequence[str]:
        """Valid arguments of `clips`: `train`, `valid`, and optionally others such as `test`."""
        ...

    def clips(self, split: str) -> Sequence[Clip]:
        """Clips of one split, in a deterministic order; opens no audio."""
        ...


class FoldedDatasetPlugin(DatasetPlugin, Protocol):
    """Additional members of a dataset plugin with folds; `pannsdist crossval` requires them.

    Each fold is `valid` once, and no clip is `valid` in two folds.
    """

    fold_param: ClassVar[str]
    """Name of the field of `Params` that selects the validation fold."""

    @classmethod
    def folds(cls, params: Any) -> Sequence[int]:
        """Valid values of that field, given the other params; empty if there are no folds."""
        ...


class FeaturePlugin(Protocol):
    """Feature extraction on the device. Built as `plugin(params)`."""

    Params: ClassVar[type]

    @property
    def front_end(self) -> FrontEnd:
        """The front end that `build` computes."""
        ...

    def build(self) -> paddle.nn.Layer:
        """Layer (B, S) -> (B, 1, T, F) float32, without trainable parameters or persistable buffers."""
        ...


class SoundReader(Protocol):
    """Reads a sound file for an augmentation as the clips of a dataset are read."""

    def __call__(self, path: Path, samples: int | None = None) -> np.ndarray:
        """The file, or a random excerpt of at most so many samples: (S,) float32, mono, at the clip's sample rate.

        Raises UserError for a file that is damaged or no sound.
        """
        ...


class AugmentationPlugin(Protocol):
    """Augmentation of training waveforms. Built as `plugin(params)`; must be picklable for data loader workers.

    `Params` has a field `probability`, from 0 to 1, with which the augmentation is applied to a clip; it is drawn by
    the caller. Field metadata may hold `doc` and the limits `low`, `high`, `above` or `choices`, as for any plugin.

    A plugin that mixes in files, such as noise or impulse responses, lists them in an attribute `sounds`, a sequence of
    paths, and opens none itself. They are checked before the run, and it is called with a fourth argument, a
    `SoundReader`.
    """

    Params: ClassVar[type]

    def __call__(self, waveform: np.ndarray, rate_hz: int, generator: np.random.Generator) -> np.ndarray:
        """Waveform (S,) float32 at `rate_hz` -> (S,) float32, finite. Must not modify its input.

        All randomness must come from `generator`, which is specific to the clip; no state is kept between clips.
        """
        ...

    # A plugin that moves sound in time also has `with_events(waveform, rate_hz, generator, events)`, which returns what
    # a call returns and the events (`Event`, in seconds from the start of the waveform) as they are in it, cut at its
    # ends. Without that method events stay where they are.


class ModelPlugin(Protocol):
    """A classification network. Built as `plugin(params)`.

    A model with a boolean field `spec_augment` in its `Params` applies SpecAugment itself; `train.spec_augment` sets
    that field. For any other model SpecAugment is applied to the features.
    """

    Params: ClassVar[type]

    feature: ClassVar[str]
    """Default feature plugin of the network."""
    feature_params: ClassVar[Mapping[str, Any]]
    """Params of that feature that differ from its defaults."""
    front_end: ClassVar[FrontEnd]
    """Front end of that feature with those params; the published weights require it."""
    weights: ClassVar[Mapping[str, Pretrained]]
    """Pretrained weights by tag."""
    head: ClassVar[str]
    """Structured name of the sub-layer that depends on the number of classes, such as `fc_audioset`."""

    # A model may also have `stages: ClassVar[Mapping[str, Sequence[str]]]`: groups of sub-layers, from input to output,
    # that are frozen together and have one learning rate factor, each with the structured names or dotted prefixes
    # that it covers, such as `features.0`. Without it, stages are the layer's top-level sub-layers in the order of
    # definition. The longest matching prefix decides; the head is always the last stage.
    #
    # A model may have `static_graph = True`, which `train.to_static` needs: its layer computes with tensors alone.
    # Numbers that it draws or reads on the host, as with `random`, numpy or a counter, would stay those of the first
    # pass.
    #
    # A model that can answer by frame has two further methods, and `Params` may choose how long its frames are:
    # - `frame_samples(front_end) -> int`, the samples of an output frame, a multiple of the hop, 2 hops at least. Frame
    #   t is of the samples from t * frame_samples on. `Network` pads a sound to whole frames, so that S samples have
    #   ceil(S / frame_samples) frames.
    # - `build_frames(labels, front_end, pooling) -> Layer`: (B, 1, T, F) -> logits (B, T' + 1, C) of T' frames, and in
    #   the last row of the clip, pooled from them. `FrameHead` makes both of what a network has before its pooling; it
    #   is the sub-layer `head`. `pooling` is attention or linear_softmax. Otherwise it is as the layer of `build`.
    #   The layer may have `reach_features`, how many frames of the features a frame depends on to either side: then a
    #   long recording is computed in windows that give what one pass gives. Without it a frame depends on all of its
    #   window, which is as long as the clips of the evaluation.
    #
    # A model whose layer pads shorter inputs itself may have `padded_samples(front_end) -> int`, the length in samples
    # that it pads them to. `train.group_by_length` is refused where that is the whole crop.

    def accepts(self, front_end: FrontEnd) -> bool:
        """Whether the network supports this front end (for training from scratch)."""
        ...

    def minimum_samples(self, front_end: FrontEnd) -> int:
        """Minimum input length in samples at the front end's rate."""
        ...

    def build(self, labels: Sequence[str], front_end: FrontEnd) -> paddle.nn.Layer:
        """Layer (B, 1, T, F) -> logits (B, C), randomly initialised.

        Parameters have the structured names of the published weights, with Paddle's names for the running statistics
        of batch norm (`_mean`, `_variance`).

        A layer may have `augments = True`: then a training step calls it as
        `layer(features, augment_noise=..., partners=..., mix_weights=...)`, features (R, 1, T, F) and logits (B, C),
        and the layer applies `mixup` and, if it masks at an inner layer, `spec_augment_mask` itself. Otherwise both
        are applied to the features.

        A layer may have `not_needed`, structured names of sub-layers in published files that the network does not have,
        such as heads of an earlier training: they are ignored when a file is loaded, and the report counts them.
        """
        ...
