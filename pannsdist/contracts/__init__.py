"""What a plugin is: frozen records and protocols. A plugin imports this module and no other of pannsdist.

Axes: B batch, S samples, T frames, F bins, C classes. A plugin is a class with a frozen dataclass `Params`, whose
fields are the plugin's settings; it is built as `plugin(params)`. It is found because its distribution is installed
and names it in one of the entry-point groups below. Raise `UserError` for what the user can mend.

A plugin may say `contract = 1`, the version that it was written for; docs/contract.md says what that promises.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

from pannsdist.errors import UserError
from pannsdist.feature_augmentation import CHANCES, kept_stripes, mixed

if TYPE_CHECKING:
    import numpy as np
    import paddle

__all__ = [
    "CHANCES",
    "CHANGES",
    "GROUPS",
    "VERSION",
    "AugmentationPlugin",
    "Clip",
    "DatasetPlugin",
    "Download",
    "FeaturePlugin",
    "FoldedDatasetPlugin",
    "FrontEnd",
    "ModelPlugin",
    "NoParams",
    "Pretrained",
    "Samples",
    "Sound",
    "UserError",
    "kept_stripes",
    "mixed",
    "param",
]

CHANGES = {1: ("0.1.0", "the first contract")}
"""Of each version of the contract: the pannsdist that brought it, and what a plugin has to change for it."""
VERSION = max(CHANGES)
GROUPS = {
    "model": "pannsdist.models",
    "dataset": "pannsdist.datasets",
    "feature": "pannsdist.features",
    "augmentation": "pannsdist.augmentations",
}


def param(default: Any = MISSING, doc: str = "", **limits: Any) -> Any:
    """A field of a plugin's `Params` with its meaning; without a default it is required.

    Limits that the settings are held to: `low` and `high` (both allowed), `above` (not allowed itself), or `choices`.
    """
    return field(default=default, metadata={"doc": doc, **limits})


@dataclass(frozen=True)
class NoParams:
    """The `Params` of a plugin that has no settings."""


@runtime_checkable
class Sound(Protocol):
    """Something that makes samples when asked, in a worker process: it must pickle, and give the same each time."""

    def samples(self) -> tuple[np.ndarray, int]:
        """Samples (S,) or (S, channels), float32 in [-1, 1], and their rate in Hz."""
        ...


@dataclass(frozen=True)
class Samples:
    """A `Sound` that is already in memory: samples (S,) or (S, channels) float32 at `rate_hz`."""

    array: np.ndarray = field(repr=False, compare=False)
    rate_hz: int

    def samples(self) -> tuple[np.ndarray, int]:
        """The array and its rate in Hz."""
        return self.array, self.rate_hz


@dataclass(frozen=True)
class Clip:
    """A cheap description of one example; making it opens no audio.

    `id` is unique in its dataset and the same on every machine. `source` is a file, or a `Sound`. `start_s` and
    `duration_s` cut a piece out of it (`None`: up to its end). `labels` are class names out of the dataset's `labels`.
    """

    id: str
    source: Path | Sound
    labels: tuple[str, ...]
    start_s: float = 0.0
    duration_s: float | None = None


@dataclass(frozen=True)
class FrontEnd:
    """How a waveform becomes what a network hears. Two equal records give equal numbers.

    It travels from the feature plugin to the model plugin, to the weights and into every saved model, so that they can
    be checked against each other. `kind` names the computation, `bins` is the size of the F axis, and `details` holds
    whatever else decides the numbers, as sorted (name, value) pairs of text, numbers and truth values.
    """

    kind: str
    sample_rate_hz: int
    window_samples: int
    hop_samples: int
    fft_samples: int
    bins: int
    low_hz: float
    high_hz: float
    details: tuple[tuple[str, str | float | int | bool], ...] = ()


@dataclass(frozen=True)
class Pretrained:
    """A published set of weights: where it is, how it is recognised, what it expects and under which licence.

    `sha256` is empty where no checksum is published: then the one of the first download is kept, and holds from there
    on. `size_bytes` is 0 where it is not known. `source` says who published it, where, and with which score.
    """

    url: str
    sha256: str
    front_end: FrontEnd
    classes: int
    licence: str
    source: str
    size_bytes: int = 0


@dataclass(frozen=True)
class Download:
    """A file of a published corpus, for `pannsdist data fetch`, where its licence lets anybody download it.

    `checksum` is `md5:` or `sha256:` and hexadecimal digits, empty where none is published; `size_bytes` is 0 where it
    is not known. `unpack` is `zip`, `tar` (compressed in any way) or empty for a file to be kept as it is. It goes into
    the folder `into` below the one that the user names.
    """

    url: str
    licence: str
    checksum: str = ""
    size_bytes: int = 0
    unpack: str = "zip"
    into: str = ""


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

        A layer may have `augments = True`: then a training step calls it as `layer(features, chances=..., partners=...,
        shares=...)`, features (R, 1, T, F) and logits (B, C) all the same, and it calls `mixed` at its own place, and
        `kept_stripes` where it has stripes of its own. Without that, mixup is done at the features.

        A layer may have `not_needed`, structured names of parts that published files hold and the network has no use
        for, such as heads of an earlier training: they are left out when a file is read, and the report counts them.
        """
        ...
