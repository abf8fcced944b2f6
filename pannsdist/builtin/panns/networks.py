"""The networks of PANNs, written from the facts of the paper and of its published weights.

Sub-layers bear the names of the published PyTorch weights (audioset_tagging_cnn), so that a key says where it belongs.
"""

from __future__ import annotations

from collections.abc import Sequence

import paddle
import paddle.nn.functional as F
from paddle import nn

BLOCK_DROPOUT = 0.2
EMBEDDING_DROPOUT = 0.5


def convolution(inputs: int, outputs: int, kernel: int) -> nn.Conv2D:
    """A convolution that keeps the size of the image; no bias, Xavier weights as in the original."""
    xavier = nn.initializer.XavierUniform()
    return nn.Conv2D(inputs, outputs, kernel, padding=kernel // 2, bias_attr=False, weight_attr=xavier)


def linear(inputs: int, outputs: int) -> nn.Linear:
    """A linear layer with Xavier weights and no bias at first, as in the original."""
    return nn.Linear(inputs, outputs, nn.initializer.XavierUniform(), nn.initializer.Constant(0.0))


class ConvBlock(nn.Layer):
    """Two 3x3 convolutions with batch norm, then average pooling: (B, I, T, F) -> (B, O, T / pool, F / pool)."""

    def __init__(self, inputs: int, outputs: int, pool: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = convolution(inputs, outputs, 3), nn.BatchNorm2D(outputs)
        self.conv2, self.bn2 = convolution(outputs, outputs, 3), nn.BatchNorm2D(outputs)
        self._pool = pool

    def forward(self, image: paddle.Tensor) -> paddle.Tensor:
        """(B, I, T, F) -> (B, O, T / pool, F / pool)."""
        image = F.relu(self.bn1(self.conv1(image)))
        image = F.relu(self.bn2(self.conv2(image)))
        return image if self._pool == 1 else F.avg_pool2d(image, self._pool)


class ConvBlock5x5(nn.Layer):
    """One 5x5 convolution with batch norm, then average pooling: (B, I, T, F) -> (B, O, T / 2, F / 2)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = convolution(inputs, outputs, 5), nn.BatchNorm2D(outputs)

    def forward(self, image: paddle.Tensor) -> paddle.Tensor:
        """(B, I, T, F) -> (B, O, T / 2, F / 2)."""
        return F.avg_pool2d(F.relu(self.bn1(self.conv1(image))), 2)


class LogMelCnn(nn.Layer):
    """Blocks on a log-mel, pooled over time to one embedding: (B, 1, T, F) -> (B, C) logits.

    The first batch norm works on the bins. Over frequency the mean is taken, over time maximum plus mean.
    """

    def __init__(self, blocks: Sequence[nn.Layer], width: int, classes: int, bins: int) -> None:
        super().__init__()
        self.bn0 = nn.BatchNorm2D(bins)
        self._blocks = [f"conv_block{number}" for number in range(1, len(blocks) + 1)]
        for name, block in zip(self._blocks, blocks, strict=True):
            self.add_sublayer(name, block)
        self.fc1 = linear(width, width)
        self.fc_audioset = linear(width, classes)

    def forward(self, logmel: paddle.Tensor) -> paddle.Tensor:
        """Log-mel (B, 1, T, F) in dB -> logits (B, C)."""
        return self.fc_audioset(self._hidden(logmel))

    def embed(self, logmel: paddle.Tensor) -> paddle.Tensor:
        """Log-mel (B, 1, T, F) in dB -> embedding (B, E)."""
        return F.dropout(self._hidden(logmel), EMBEDDING_DROPOUT, training=self.training)

    def _hidden(self, logmel: paddle.Tensor) -> paddle.Tensor:
        image = self.bn0(logmel.transpose([0, 3, 2, 1])).transpose([0, 3, 2, 1])
        for name in self._blocks:
            image = F.dropout(getattr(self, name)(image), BLOCK_DROPOUT, training=self.training)
        frames = image.mean(axis=3)
        clip = frames.max(axis=2) + frames.mean(axis=2)
        return F.relu(self.fc1(F.dropout(clip, EMBEDDING_DROPOUT, training=self.training)))


class Cnn6(LogMelCnn):
    """Four blocks of one 5x5 convolution."""

    def __init__(self, classes: int, bins: int) -> None:
        widths = [1, 64, 128, 256, 512]
        blocks = [ConvBlock5x5(widths[i], widths[i + 1]) for i in range(4)]
        super().__init__(blocks, 512, classes, bins)


class Cnn10(LogMelCnn):
    """Four blocks of two 3x3 convolutions."""

    def __init__(self, classes: int, bins: int) -> None:
        widths = [1, 64, 128, 256, 512]
        blocks = [ConvBlock(widths[i], widths[i + 1], pool=2) for i in range(4)]
        super().__init__(blocks, 512, classes, bins)


class Cnn14(LogMelCnn):
    """Six blocks of two 3x3 convolutions; the last one does not pool."""

    def __init__(self, classes: int, bins: int) -> None:
        widths = [1, 64, 128, 256, 512, 1024, 2048]
        blocks = [ConvBlock(widths[i], widths[i + 1], pool=2 if i < 5 else 1) for i in range(6)]
        super().__init__(blocks, 2048, classes, bins)
