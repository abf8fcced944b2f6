"""Feature and model as one layer, from waveform to logits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import paddle
from paddle import nn
from paddle.nn.layer.norm import _BatchNormBase

from pannsdist.contracts.feature_augmentation import mixup, spec_augment_mask


class Network(nn.Layer):
    """Waveform (B, S) -> logits (B, C). The feature has no weights, and no gradient flows through it.

    With `spec_augment`, features are masked with SpecAugment if `augment_noise` is given, and masked values are
    replaced by the mean of the clip. A model layer with `augments = True` applies mixup and its own masking itself.
    `head` is the structured name of the model's head; without it there is no forward from embeddings.

    With `frame_samples`, the length of a frame of a model that answers by frame, the logits are (B, T + 1, C) of
    T = ceil(S / frame_samples) frames and of the clip: a sound is padded to whole frames with silence.
    """

    def __init__(
        self, feature: nn.Layer, model: nn.Layer, spec_augment: bool = False, head: str = "", frame_samples: int = 0
    ) -> None:
        super().__init__()
        self.frame_samples = frame_samples
        self.feature = feature
        self.model = model
        self._spec_augment, self._head = spec_augment, head
        self._model_augments = bool(getattr(model, "augments", False))

    def forward(
        self,
        waveform: paddle.Tensor,
        augment_noise: paddle.Tensor | None = None,
        partners: paddle.Tensor | None = None,
        mix_weights: paddle.Tensor | None = None,
        is_embedded: bool = False,
    ) -> paddle.Tensor:
        """Waveform (R, S) float32 at the front end's rate -> logits (B, C).

        Of features (R, T, F), which have three axes, the model alone is computed. R is B without `partners`. The
        optional arguments come with a training batch: see `Batch`. What `is_embedded` is the input (B, E) of the head,
        which alone is computed.
        """
        if is_embedded:
            return self.head_layer(waveform)
        with paddle.no_grad(), paddle.amp.auto_cast(enable=False):  # half precision is too coarse for spectral power
            features = self.features(waveform) if waveform.ndim == 2 else waveform.unsqueeze(1)
            if self._spec_augment and augment_noise is not None:
                features = _masked(features, augment_noise)
            if partners is not None and not self._model_augments:
                features = mixup(features, partners, mix_weights)
        if self._model_augments and not (augment_noise is None and partners is None):
            return self.model(features, augment_noise=augment_noise, partners=partners, mix_weights=mix_weights)
        return self.model(features)

    def features(self, waveform: paddle.Tensor) -> paddle.Tensor:
        """Waveform (B, S) -> features (B, 1, T, F), of whole frames where the model answers by frame."""
        if self.frame_samples:
            waveform = padded_to_frames(waveform, self.frame_samples)
        return self.feature(waveform)

    @property
    def head_layer(self) -> nn.Layer:
        """The model's head."""
        layer = self.model
        for part in self._head.split("."):
            layer = layer._sub_layers[part]
        return layer

    def arrays(self) -> dict[str, np.ndarray]:
        """Copy of the model's weights and running statistics on the host, by structured name."""
        return {name: tensor.numpy() for name, tensor in self.model.state_dict().items()}

    def statistics_tensors(self) -> dict[str, paddle.Tensor]:
        """The running means and variances of batch norm by structured name: the tensors themselves, not copies."""
        norms = ((name, part) for name, part in self.model.named_sublayers() if isinstance(part, _BatchNormBase))
        return {f"{name}.{kind}": getattr(part, kind) for name, part in norms for kind in ("_mean", "_variance")}

    def statistics(self) -> dict[str, np.ndarray]:
        """The running statistics of batch norm by structured name, copied to the host."""
        return {name: tensor.numpy() for name, tensor in self.statistics_tensors().items()}

    def restore_statistics(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Put back what `statistics` gave, or nothing of it. Raises KeyError for a name of another network."""
        own = self.statistics_tensors()
        for name, array in arrays.items():
            own[name].set_value(array)

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Restore the output of `arrays`. Raises ValueError, without changes, if a name or shape differs."""
        own = self.model.state_dict()
        differing = sorted(own.keys() ^ arrays.keys())
        differing += sorted(name for name in own.keys() & arrays.keys() if tuple(own[name].shape) != arrays[name].shape)
        if differing:
            raise ValueError(f"{len(differing)} tensors do not fit, such as {differing[0]}")
        for name, tensor in own.items():
            tensor.set_value(arrays[name])


@contextmanager
def evaluation_mode(layer: nn.Layer) -> Iterator[None]:
    """Within the block a layer is in evaluation mode; then every sublayer has its own mode again, errors included."""
    with _modes_restored(layer):
        layer.eval()
        yield


@contextmanager
def training_mode(layer: nn.Layer) -> Iterator[None]:
    """Within the block a layer is in training mode; sublayers in evaluation mode, such as a frozen batch norm, stay so.

    A layer that is in evaluation mode itself is set to training mode as a whole, and every mode is restored afterwards.
    """
    if layer.training:
        yield
        return
    with _modes_restored(layer):
        layer.train()
        yield


@contextmanager
def _modes_restored(layer: nn.Layer) -> Iterator[None]:
    modes = [(part, part.training) for part in layer.sublayers(include_self=True)]
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode


def padded_to_frames(waveform: paddle.Tensor, frame_samples: int) -> paddle.Tensor:
    """(B, S) -> (B, S'), with silence behind it up to a multiple of `frame_samples`.

    A graph takes any S, so that it appends nearly a frame and cuts what is too much, by operators that convert well.
    """
    length = (waveform.shape[1] + frame_samples - 1) // frame_samples * frame_samples
    if paddle.in_dynamic_mode() and length == waveform.shape[1]:
        return waveform
    silence = paddle.zeros_like(waveform[:, :1]).expand([-1, frame_samples - 1])
    return paddle.concat([waveform, silence], axis=1)[:, :length]


def _masked(features: paddle.Tensor, augment_noise: paddle.Tensor) -> paddle.Tensor:
    """(R, 1, T, F) -> (R, 1, T, F), masked with the mean of each clip."""
    kept = spec_augment_mask(augment_noise, features.shape[2], features.shape[3])
    return features * kept + features.mean(axis=[1, 2, 3], keepdim=True) * (1.0 - kept)
