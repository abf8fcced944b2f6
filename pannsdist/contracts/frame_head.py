"""The head of networks that answer by frame. Imports paddle. Axes: B batch, T frames, E embedding, C classes."""

from __future__ import annotations

import paddle
import paddle.nn.functional as F
from paddle import nn

ATTENTION, LINEAR_SOFTMAX = "attention", "linear_softmax"
POOLINGS = (ATTENTION, LINEAR_SOFTMAX)
ATTENTION_LIMIT = 10.0


class FrameHead(nn.Layer):
    """Embeddings of frames (B, T, E) -> logits (B, T + 1, C): of each frame, and in the last row of the clip.

    The probability of the clip is a mean of those of its frames. `attention`: weighted by a softmax over time, one for
    each class (Kong et al. 2018, arXiv 1711.00927). `linear_softmax`: each frame weighs as much as its own
    probability (Wang et al. 2019, arXiv 1810.09050). Both are computed as logits, so nothing saturates.
    """

    def __init__(self, width: int, classes: int, pooling: str = ATTENTION) -> None:
        super().__init__()
        if pooling not in POOLINGS:
            raise ValueError(f"pooling {pooling!r}; known: {', '.join(POOLINGS)}")
        self.frames = nn.Linear(width, classes)
        self.attention: nn.Linear | None = nn.Linear(width, classes) if pooling == ATTENTION else None

    def forward(self, embeddings: paddle.Tensor) -> paddle.Tensor:
        """(B, T, E) -> (B, T + 1, C)."""
        logits = self.frames(embeddings)
        yes, no = F.log_sigmoid(logits), F.log_sigmoid(-logits)
        weights = yes
        if self.attention is not None:  # logarithms; what is the same for all frames of a class makes no difference
            weights = paddle.clip(self.attention(embeddings), -ATTENTION_LIMIT, ATTENTION_LIMIT)
        clip = paddle.logsumexp(weights + yes, axis=1) - paddle.logsumexp(weights + no, axis=1)
        return paddle.concat([logits, clip.unsqueeze(1)], axis=1)


def of_length(frames: paddle.Tensor, features: paddle.Tensor, stride: int) -> paddle.Tensor:
    """Embeddings of exactly the frames that a sound has: (B, T', E) -> (B, ceil((T - 1) / stride), E), at least 1.

    `features` are (B, 1, T, F) of a sound of whole frames, `stride` of them are one frame here: T is then a multiple
    of `stride`, or one more, whether the front end centres its windows or not. A stride of 1 cannot tell these apart,
    so it must be 2 at least. Padding of convolutions and poolings gives one frame more or less: what is too much is
    left out, and the last one is repeated. In a static graph, where lengths are tensors, T must be `stride` at least.

    Raises ValueError where more than one is missing, which Paddle's graphs cannot say.
    """
    count = (features.shape[2] + stride - 2) // stride
    if paddle.in_dynamic_mode():
        count = max(count, 1)
        if frames.shape[1] + 1 < count:
            raise ValueError(f"{frames.shape[1]} frames of {features.shape[2]} features with a stride of {stride}")
    return paddle.concat([frames, frames[:, -1:]], axis=1)[:, :count]
