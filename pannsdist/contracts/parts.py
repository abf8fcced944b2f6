"""What a run is built of: the protocols of dataset, feature, augmentation and model plugins.

Axes: B batch, S samples, T frames, F bins, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from pannsdist.contracts.records import Clip, FrontEnd, Pretrained

if TYPE_CHECKING:
    import numpy as np
    import paddle


class DatasetPlugin(Protocol):
    """Clips with labels, in fixed splits. Built as `plugin(params)`; a missing root is refused there, by name.

    It may have `downloads`, a tuple of `Download` in its class, with `unpacks_to`, the root below the folder of the
    download; and `missing`, a sequence as long as there are listed clips that it leaves out for want of a file.
    """

    Params: ClassVar[type]

    @property
    def labels(self) -> Sequence[str]:
        """All class names; their order is the order of the network's outputs."""
        ...

    @property
    def multi_label(self) -> bool:
        """Whether a clip may bear several labels at once (or none)."""
        ...

    @property
    def splits(self) -> Sequence[str]:
        """Names that `clips` answers to: `train` and `valid`, and any other, such as `test`."""
        ...

    def clips(self, split: str) -> Sequence[Clip]:
        """The clips of one split, in the same order every time; opens no audio."""
        ...


class FoldedDatasetPlugin(DatasetPlugin, Protocol):
    """What a dataset plugin has besides where its clips are divided into folds; `pannsdist crossval` needs it.

    Each fold is `valid` once, and no clip is `valid` in two of them.
    """

    fold_param: ClassVar[str]
    """The field of `Params` that says which fold is `valid`."""

    @classmethod
    def folds(cls, params: Any) -> Sequence[int]:
        """What that field may be, with the other params as they are; empty where these clips have no folds."""
        ...


class FeaturePlugin(Protocol):
    """A waveform becomes an image of sound, on the device. Built as `plugin(params)`."""

    Params: ClassVar[type]

    @property
    def front_end(self) -> FrontEnd:
        """What `build` computes."""
        ...

    def build(self) -> paddle.nn.Layer:
        """A layer (B, S) -> (B, 1, T, F), float32, without trainable parameters; buffers are not persistable."""
        ...


class AugmentationPlugin(Protocol):
    """A training clip's waveform becomes another one. Built as `plugin(params)`; it must pickle into a worker.

    `Params` has a field `probability`, from 0 to 1: the share of the clips that are given to it, drawn before it is
    called. A field's metadata may hold `doc` and the limits `low`, `high`, `above` or `choices`, as for any plugin.
    """

    Params: ClassVar[type]

    def __call__(self, waveform: np.ndarray, rate_hz: int, generator: np.random.Generator) -> np.ndarray:
        """Waveform (S,) float32 at `rate_hz` -> another (S,) float32, finite; the one that is given stays as it is.

        All randomness comes from `generator`, which is the clip's own: nothing is remembered from one clip to the next.
        """
        ...


class ModelPlugin(Protocol):
    """A network for classification. Built as `plugin(params)`.

    A model whose `Params` have a field `spec_augment` (true or false) leaves stripes out of its image by itself;
    `train.spec_augment` sets that field. For any other model this is done at the features.
    """

    Params: ClassVar[type]

    feature: ClassVar[str]
    """Name of the feature plugin that the network was made for."""
    feature_params: ClassVar[Mapping[str, Any]]
    """Params of that feature where they are not its defaults."""
    front_end: ClassVar[FrontEnd]
    """What that feature, with those params, computes; the published weights expect exactly this."""
    weights: ClassVar[Mapping[str, Pretrained]]
    """Published weights by tag."""
    head: ClassVar[str]
    """Structured name of the sub-layer that depends on the number of classes, such as `fc_audioset`."""

    # A model may also have `stages: ClassVar[Mapping[str, Sequence[str]]]`: from the input up, the parts that are
    # frozen and thawed together and share a learning rate, each with the structured names that it covers, such as
    # `features.0` or the beginning of several, up to a dot. Without it they are the layer's top-level parts, in the
    # order of their definition. The longest name that fits decides; the head is always the last stage.

    def accepts(self, front_end: FrontEnd) -> bool:
        """Whether the network can be trained from scratch on this front end."""
        ...

    def minimum_samples(self, front_end: FrontEnd) -> int:
        """The shortest waveform that the network can hear, in samples at the front end's rate."""
        ...

    def build(self, labels: Sequence[str], front_end: FrontEnd) -> paddle.nn.Layer:
        """A layer (B, 1, T, F) -> (B, C) logits, with random weights.

        Parameters bear the structured names of the published weights, with Paddle's names for the running statistics
        of batch norm (`_mean`, `_variance`).

        A layer may have `augments = True`: then a training step calls it as
        `layer(features, augment_noise=..., partners=..., mix_weights=...)`, features (R, 1, T, F) and logits (B, C),
        and the layer itself applies `mixup` and, if it masks at a place of its own, `spec_augment_mask`. Otherwise both
        are applied to the features.

        A layer may have `not_needed`, structured names of parts that published files hold and the network has no use
        for, such as heads of an earlier training: they are left out when a file is read, and the report counts them.
        """
        ...
