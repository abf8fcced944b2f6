"""Heads of PANNs: clip-level and segment-level predictions from a sequence of parts.

Axes: B batch, T frames, T' frames after pooling, E size of the embedding, C classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import paddle
import paddle.nn.functional as F
from paddle import nn

from pannsdist.builtin.panns.blocks import Part, linear
from pannsdist.builtin.panns.residual import freeze_unused
from pannsdist.builtin.panns.spec_augment import AugmentInputs, AugmentLayer
from pannsdist.builtin.panns.time_axis import keep_frames
from pannsdist.contracts.frame_head import FrameHead, of_length

EMBEDDING_DROPOUT = 0.5
ATTENTION_LIMIT = 10.0
FRAMES_IN_SEGMENT = 32
LINE_REACH_HOPS = 2
"""A frame of a wavegram depends on 635 samples to either side, less than two of its hops; one of a log-mel on 512."""


@dataclass(frozen=True)
class Description:
    """A network up to its embedding.

    `branches` have the same input, and their outputs are concatenated along the channels; `parts` follow in sequence
    and end with `width` channels. `unused` parts are in the published weights, but not in forward.
    """

    parts: Sequence[Part]
    width: int
    embedding: int
    branches: Sequence[Sequence[Part]] = ()
    unused: Sequence[Part] = ()
    clip_dropout: float = 0.5


class Embedder(nn.Layer, ABC):
    """Base class of all networks: parts, `fc1`, head. Mixup is applied where the original applies it."""

    augments = True

    def __init__(self, description: Description) -> None:
        super().__init__()
        self._branches = [self._row(parts) for parts in description.branches]
        self._parts = self._row(description.parts)
        self._row(description.unused)
        for part in description.unused:
            freeze_unused(part.layer)
        self._clip_dropout = description.clip_dropout
        self.fc1 = linear(description.width, description.embedding)

    def forward(
        self,
        features: paddle.Tensor,
        augment_noise: paddle.Tensor | None = None,
        partners: paddle.Tensor | None = None,
        mix_weights: paddle.Tensor | None = None,
    ) -> paddle.Tensor:
        """Features (R, 1, T, F) -> logits (B, C); the optional arguments come with a training batch."""
        return self._logits(features, AugmentInputs(augment_noise, partners, mix_weights))

    @abstractmethod
    def _logits(self, features: paddle.Tensor, augment_inputs: AugmentInputs) -> paddle.Tensor:
        """Features (R, 1, T, F) -> logits (B, C)."""

    def _row(self, parts: Sequence[Part]) -> list[tuple[str, float]]:
        for part in parts:
            self.add_sublayer(part.name, part.layer)
            if part.dropout:
                self.add_sublayer(_dropout_after(part.name), nn.Dropout(part.dropout))
        return [(part.name, part.dropout) for part in parts]

    def _run(
        self, row: Sequence[tuple[str, float]], image: paddle.Tensor, augment_inputs: AugmentInputs
    ) -> paddle.Tensor:
        for name, dropout in row:
            layer = getattr(self, name)
            image = layer(image, augment_inputs) if isinstance(layer, AugmentLayer) else layer(image)
            if dropout:
                image = getattr(self, _dropout_after(name))(image)
        return image

    def _frames(self, features: paddle.Tensor, augment_inputs: AugmentInputs) -> paddle.Tensor:
        """Features -> (B, width, T'), averaged over the remaining bins.

        If branches differ by a frame, the longer one is cropped; there the original fails.
        """
        if self._branches:
            images = [self._run(row, features, augment_inputs) for row in self._branches]
            features = paddle.concat(self._of_one_length(images), axis=1)
        output = self._run(self._parts, features, augment_inputs)
        return output.mean(axis=3) if output.ndim == 4 else output

    def _of_one_length(self, images: Sequence[paddle.Tensor]) -> list[paddle.Tensor]:
        """Crop to the shortest: in a static graph lengths are tensors, for which Python's `min` fails."""
        for other in images:
            images = [image[:, :, : other.shape[2]] for image in images]
        return list(images)

    def _embedded(self, pooled: paddle.Tensor) -> paddle.Tensor:
        """(..., width) -> (..., E)."""
        return F.relu(self.fc1(F.dropout(pooled, self._clip_dropout, training=self.training)))


def _dropout_after(name: str) -> str:
    """The name of the sub-layer: beside the part, so that a frozen part does not switch it off."""
    return f"{name}_dropout"


class Tagger(Embedder):
    """Clip-level head: maximum plus mean over time, then `fc1` and `fc_audioset`."""

    def __init__(self, description: Description, classes: int) -> None:
        super().__init__(description)
        self.fc_audioset = linear(description.embedding, classes)

    def embed(self, features: paddle.Tensor) -> paddle.Tensor:
        """Features (B, 1, T, F) -> embedding (B, E)."""
        return F.dropout(self._hidden(features, AugmentInputs()), EMBEDDING_DROPOUT, training=self.training)

    def _logits(self, features: paddle.Tensor, augment_inputs: AugmentInputs) -> paddle.Tensor:
        return self.fc_audioset(self._hidden(features, augment_inputs))

    def _hidden(self, features: paddle.Tensor, augment_inputs: AugmentInputs) -> paddle.Tensor:
        frames = self._frames(features, augment_inputs)
        return self._embedded(frames.max(axis=2) + frames.mean(axis=2))


class ByFrame(Embedder):
    """Logits of each output frame and, in the last row, of the clip: `FrameHead`.

    An embedding is that of the clip-level head for a clip of one frame: the maximum and the mean of one are itself.
    `reach_features` is how many frames of the features a frame depends on to either side; without it, where `hop` is 0,
    a recording is computed in windows of one length.
    """

    def __init__(self, description: Description, head: FrameHead, name: str, frame_stride: int, hop: int = 1) -> None:
        super().__init__(description)
        self._head_name, self._frame_stride = name, frame_stride
        self.add_sublayer(name, head)
        if hop:
            rows = [[part for part, _ in row] for row in (*self._branches, self._parts)]
            reach = keep_frames(self, frame_stride // hop, rows[:-1], rows[-1])
            self.reach_features = (reach + (LINE_REACH_HOPS if hop > 1 else 0)) * hop

    def embed(self, features: paddle.Tensor) -> paddle.Tensor:
        """Features (B, 1, T, F) -> the mean of the embeddings of the frames (B, E)."""
        return self._embeddings(features, AugmentInputs()).mean(axis=1)

    def _logits(self, features: paddle.Tensor, augment_inputs: AugmentInputs) -> paddle.Tensor:
        return getattr(self, self._head_name)(self._embeddings(features, augment_inputs))

    def _embeddings(self, features: paddle.Tensor, augment_inputs: AugmentInputs) -> paddle.Tensor:
        """Features -> (B, T', E)."""
        doubled = 2 * self._frames(features, augment_inputs)  # before the axes change: see decision 46
        frames = of_length(doubled.transpose([0, 2, 1]), features, self._frame_stride)
        return F.dropout(self._embedded(frames), EMBEDDING_DROPOUT, training=self.training)


class FrameTagger(Embedder):
    """Segment-level head: predictions for segments of 32 frames, aggregated to the clip.

    The original returns clip probabilities p; the logits here are exactly log p - log(1 - p), computed by logsumexp
    over segments, so that nothing saturates and no clamping is needed. The original has no embedding; here it is the
    mean of the segment embeddings.
    """

    def framewise(self, features: paddle.Tensor) -> paddle.Tensor:
        """Features (B, 1, T, F) -> probabilities (B, T, C); a segment covers 32 frames, the last one also the rest."""
        probabilities = F.sigmoid(self._of_segments(self._segments(features, AugmentInputs())))
        place = paddle.arange(features.shape[2]) // FRAMES_IN_SEGMENT
        return paddle.index_select(probabilities, paddle.clip(place, max=probabilities.shape[1] - 1), axis=1)

    def embed(self, features: paddle.Tensor) -> paddle.Tensor:
        """Features (B, 1, T, F) -> embedding (B, E)."""
        return self._segments(features, AugmentInputs()).mean(axis=1)

    def _logits(self, features: paddle.Tensor, augment_inputs: AugmentInputs) -> paddle.Tensor:
        return self._of_clip(self._segments(features, augment_inputs))

    def _segments(self, features: paddle.Tensor, augment_inputs: AugmentInputs) -> paddle.Tensor:
        """Features -> (B, T', E): maximum plus mean over windows of three segments, padded at the ends."""
        frames = self._frames(features, augment_inputs)
        mean = F.avg_pool1d(frames, 3, stride=1, padding=1, exclusive=False)  # PyTorch counts the padding
        joined = F.max_pool1d(frames, 3, stride=1, padding=1) + mean
        hidden = self._embedded(joined.transpose([0, 2, 1]))
        return F.dropout(hidden, EMBEDDING_DROPOUT, training=self.training)

    @abstractmethod
    def _of_segments(self, segments: paddle.Tensor) -> paddle.Tensor:
        """(B, T', E) -> logits (B, T', C)."""

    @abstractmethod
    def _of_clip(self, segments: paddle.Tensor) -> paddle.Tensor:
        """(B, T', E) -> logits (B, C)."""


class MaxTagger(FrameTagger):
    """The clip logit is the maximum over segments."""

    def __init__(self, description: Description, classes: int) -> None:
        super().__init__(description)
        self.fc_audioset = linear(description.embedding, classes)

    def _of_segments(self, segments: paddle.Tensor) -> paddle.Tensor:
        return self.fc_audioset(segments)

    def _of_clip(self, segments: paddle.Tensor) -> paddle.Tensor:
        return self._of_segments(segments).max(axis=1)


class MeanTagger(MaxTagger):
    """The clip probability is the mean over segments."""

    def _of_clip(self, segments: paddle.Tensor) -> paddle.Tensor:
        logits = self._of_segments(segments)
        return paddle.logsumexp(F.log_sigmoid(logits), axis=1) - paddle.logsumexp(F.log_sigmoid(-logits), axis=1)


class AttentionTagger(FrameTagger):
    """The clip probability is an attention-weighted mean over segments, per class: `att_block`."""

    def __init__(self, description: Description, classes: int) -> None:
        super().__init__(description)
        self.att_block = Attention(description.embedding, classes)

    def _of_segments(self, segments: paddle.Tensor) -> paddle.Tensor:
        return self.att_block.decisions(segments)

    def _of_clip(self, segments: paddle.Tensor) -> paddle.Tensor:
        return self.att_block(segments)


class Attention(nn.Layer):
    """Attention pooling per class: weights (`att`) and logits (`cla`) of segments.

    The published weights also have `bn_att`, which is unused.
    """

    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__()
        xavier, zero = nn.initializer.XavierUniform(), nn.initializer.Constant(0.0)
        self.att = nn.Conv1D(inputs, classes, 1, weight_attr=xavier, bias_attr=zero)
        self.cla = nn.Conv1D(inputs, classes, 1, weight_attr=xavier, bias_attr=zero)
        self.bn_att = nn.BatchNorm1D(classes)
        freeze_unused(self.bn_att)

    def decisions(self, segments: paddle.Tensor) -> paddle.Tensor:
        """(B, T', E) -> logits (B, T', C)."""
        return self.cla(segments.transpose([0, 2, 1])).transpose([0, 2, 1])

    def forward(self, segments: paddle.Tensor) -> paddle.Tensor:
        """(B, T', E) -> logits (B, C)."""
        line = segments.transpose([0, 2, 1])
        weights = F.log_softmax(paddle.clip(self.att(line), -ATTENTION_LIMIT, ATTENTION_LIMIT), axis=2)
        logits = self.cla(line)
        yes = paddle.logsumexp(weights + F.log_sigmoid(logits), axis=2)
        return yes - paddle.logsumexp(weights + F.log_sigmoid(-logits), axis=2)
