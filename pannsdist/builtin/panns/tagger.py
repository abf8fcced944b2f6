"""From parts in a row to logits: one decision for a clip, or one for each segment of it.

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
from pannsdist.builtin.panns.residual import silence
from pannsdist.builtin.panns.spec_augment import AugmentInputs, Drawn

EMBEDDING_DROPOUT = 0.5
ATTENTION_LIMIT = 10.0
FRAMES_IN_SEGMENT = 32


@dataclass(frozen=True)
class Description:
    """A network up to its embedding.

    `branches` hear the same features and are joined along the channels; `parts` follow in a row and end with `width`
    channels. `silent` parts are in the published weights, but nobody hears them.
    """

    parts: Sequence[Part]
    width: int
    embedding: int
    branches: Sequence[Sequence[Part]] = ()
    silent: Sequence[Part] = ()
    clip_dropout: float = 0.5


class Embedder(nn.Layer, ABC):
    """What every network has: its parts, then `fc1`, then a decision. Mixup stands where the authors have it."""

    augments = True

    def __init__(self, description: Description) -> None:
        super().__init__()
        self._branches = [self._row(parts) for parts in description.branches]
        self._parts = self._row(description.parts)
        self._row(description.silent)
        for part in description.silent:
            silence(part.layer)
        self._clip_dropout = description.clip_dropout
        self.fc1 = linear(description.width, description.embedding)

    def forward(
        self,
        features: paddle.Tensor,
        augment_noise: paddle.Tensor | None = None,
        partners: paddle.Tensor | None = None,
        mix_weights: paddle.Tensor | None = None,
    ) -> paddle.Tensor:
        """Features (R, 1, T, F) -> logits (B, C); the rest comes with a batch of training."""
        return self._logits(features, AugmentInputs(augment_noise, partners, mix_weights))

    @abstractmethod
    def _logits(self, features: paddle.Tensor, augment_inputs: AugmentInputs) -> paddle.Tensor:
        """Features (R, 1, T, F) -> logits (B, C)."""

    def _row(self, parts: Sequence[Part]) -> list[tuple[str, float]]:
        for part in parts:
            self.add_sublayer(part.name, part.layer)
        return [(part.name, part.dropout) for part in parts]

    def _run(
        self, row: Sequence[tuple[str, float]], image: paddle.Tensor, augment_inputs: AugmentInputs
    ) -> paddle.Tensor:
        for name, dropout in row:
            layer = getattr(self, name)
            image = layer(image, augment_inputs) if isinstance(layer, Drawn) else layer(image)
            if dropout:
                image = F.dropout(image, dropout, training=self.training)
        return image

    def _frames(self, features: paddle.Tensor, augment_inputs: AugmentInputs) -> paddle.Tensor:
        """Features -> (B, width, T'), the mean over what bins are left.

        Where branches differ by a frame, the last one is cut off; there the original fails.
        """
        if self._branches:
            images = [self._run(row, features, augment_inputs) for row in self._branches]
            features = paddle.concat(self._of_one_length(images), axis=1)
        heard = self._run(self._parts, features, augment_inputs)
        return heard.mean(axis=3) if heard.ndim == 4 else heard

    def _of_one_length(self, images: Sequence[paddle.Tensor]) -> list[paddle.Tensor]:
        """Cut by what the others have: in a static graph a length is a tensor, of which Python finds no minimum."""
        for other in images:
            images = [image[:, :, : other.shape[2]] for image in images]
        return list(images)

    def _embedded(self, heard: paddle.Tensor) -> paddle.Tensor:
        """(..., width) -> (..., E)."""
        return F.relu(self.fc1(F.dropout(heard, self._clip_dropout, training=self.training)))


class Tagger(Embedder):
    """One decision for a clip: maximum plus mean over time, then `fc1` and `fc_audioset`."""

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


class FrameTagger(Embedder):
    """A decision for each segment of 32 frames, from which the clip's follows.

    The original gives probabilities of the clip; its logits are theirs exactly: log p - log(1 - p), where both are sums
    over segments made of logarithms, so that nothing saturates and nothing needs to be clamped. The original has no
    embedding; here it is the mean of the segments'.
    """

    def framewise(self, features: paddle.Tensor) -> paddle.Tensor:
        """Features (B, 1, T, F) -> probabilities (B, T, C), each segment's for its 32 frames, the last to the end."""
        probabilities = F.sigmoid(self._of_segments(self._segments(features, AugmentInputs())))
        place = paddle.arange(features.shape[2]) // FRAMES_IN_SEGMENT
        return paddle.index_select(probabilities, paddle.clip(place, max=probabilities.shape[1] - 1), axis=1)

    def embed(self, features: paddle.Tensor) -> paddle.Tensor:
        """Features (B, 1, T, F) -> embedding (B, E)."""
        return self._segments(features, AugmentInputs()).mean(axis=1)

    def _logits(self, features: paddle.Tensor, augment_inputs: AugmentInputs) -> paddle.Tensor:
        return self._of_clip(self._segments(features, augment_inputs))

    def _segments(self, features: paddle.Tensor, augment_inputs: AugmentInputs) -> paddle.Tensor:
        """Features -> (B, T', E): over three segments each, maximum plus mean, the edges padded."""
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
    """The clip's decision is the strongest segment's."""

    def __init__(self, description: Description, classes: int) -> None:
        super().__init__(description)
        self.fc_audioset = linear(description.embedding, classes)

    def _of_segments(self, segments: paddle.Tensor) -> paddle.Tensor:
        return self.fc_audioset(segments)

    def _of_clip(self, segments: paddle.Tensor) -> paddle.Tensor:
        return self._of_segments(segments).max(axis=1)


class MeanTagger(MaxTagger):
    """The clip's probability is the mean of its segments'."""

    def _of_clip(self, segments: paddle.Tensor) -> paddle.Tensor:
        logits = self._of_segments(segments)
        return paddle.logsumexp(F.log_sigmoid(logits), axis=1) - paddle.logsumexp(F.log_sigmoid(-logits), axis=1)


class AttentionTagger(FrameTagger):
    """The clip's probability is a mean of its segments', weighted by class: `att_block`, of the class `Attention`."""

    def __init__(self, description: Description, classes: int) -> None:
        super().__init__(description)
        self.att_block = Attention(description.embedding, classes)

    def _of_segments(self, segments: paddle.Tensor) -> paddle.Tensor:
        return self.att_block.decisions(segments)

    def _of_clip(self, segments: paddle.Tensor) -> paddle.Tensor:
        return self.att_block(segments)


class Attention(nn.Layer):
    """For each class how much a segment counts (`att`) and what it says (`cla`).

    The published weights hold `bn_att` too, which nobody hears.
    """

    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__()
        xavier, zero = nn.initializer.XavierUniform(), nn.initializer.Constant(0.0)
        self.att = nn.Conv1D(inputs, classes, 1, weight_attr=xavier, bias_attr=zero)
        self.cla = nn.Conv1D(inputs, classes, 1, weight_attr=xavier, bias_attr=zero)
        self.bn_att = nn.BatchNorm1D(classes)
        silence(self.bn_att)

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
