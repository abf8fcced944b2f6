"""The Audio Spectrogram Transformer as a Paddle layer, under the names of the published files.

Facts from Y. Gong, Y.-A. Chung, J. Glass, "AST: Audio Spectrogram Transformer", Interspeech 2021, and its release. The
blocks are those of A. Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021; the two tokens are those of H.
Touvron et al., "Training data-efficient image transformers & distillation through attention" (DeiT), ICML 2021.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import paddle
from paddle import nn
from paddle.nn import functional as F

from pannsdist_ast.params import PATCH

if TYPE_CHECKING:
    from pannsdist.contracts import FrontEnd
    from pannsdist_ast.params import AstParams, Size

TOKENS = 2
"""Class token and distillation token, before the patch tokens."""
NORMAL = nn.initializer.TruncatedNormal(std=0.02)


@dataclass(frozen=True)
class Grid:
    """The patch grid: strides and number of patches along bins and frames.

    Inputs with less than `padded_frames` frames are padded with `padding`, the normalized value of 0, as in the
    original.
    """

    strides: tuple[int, int]
    patches: tuple[int, int]
    padded_frames: int
    padding: float

    @classmethod
    def of(cls, params: AstParams, front_end: FrontEnd) -> Grid:
        """The grid for a model's params on a front end."""
        details = dict(front_end.details)
        return cls(
            strides=(params.fstride, params.tstride),
            patches=(
                (front_end.bins - PATCH) // params.fstride + 1,
                (params.frames - PATCH) // params.tstride + 1,
            ),
            padded_frames=params.padded_frames,
            padding=float(details.get("shift", 0.0)) / float(details.get("scale", 1.0)),
        )


def _uniform(inputs: int) -> nn.initializer.Initializer:
    """PyTorch's default initialization for a layer with this number of inputs."""
    return nn.initializer.Uniform(-(inputs**-0.5), inputs**-0.5)


def _linear(inputs: int, outputs: int) -> nn.Linear:
    bias = paddle.ParamAttr(initializer=nn.initializer.Constant(0.0))
    return nn.Linear(inputs, outputs, paddle.ParamAttr(initializer=NORMAL), bias)


class Attention(nn.Layer):
    """Multi-head self-attention: (B, N, E) -> (B, N, E).

    Written with matrix products, for ONNX: on the CPU `scaled_dot_product_attention` is bit-identical and not faster
    (1214 tokens, 12 heads: 0.17 s and 0.18 s forward, 0.53 s and 0.39 s with backward in Paddle 3.3.1; 0.21 s and
    0.18 s, 0.39 s and 0.42 s in 2.6.2).
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self._heads, self._width = heads, width
        self.qkv = _linear(width, 3 * width)
        self.proj = _linear(width, width)

    def forward(self, tokens: paddle.Tensor) -> paddle.Tensor:
        """Tokens (B, N, E) -> (B, N, E)."""
        size = self._width // self._heads
        projected = self.qkv(tokens).reshape([0, 0, 3, self._heads, size]).transpose([2, 0, 3, 1, 4])
        query, key, value = paddle.unbind(projected)
        attention = F.softmax(paddle.matmul(query * size**-0.5, key, transpose_y=True), axis=-1)
        return self.proj(paddle.matmul(attention, value).transpose([0, 2, 1, 3]).reshape([0, 0, self._width]))


class Mlp(nn.Layer):
    """Feed-forward layer with four times the width: (B, N, E) -> (B, N, E)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = _linear(width, 4 * width)
        self.fc2 = _linear(4 * width, width)

    def forward(self, tokens: paddle.Tensor) -> paddle.Tensor:
        """Tokens (B, N, E) -> (B, N, E)."""
        return self.fc2(F.gelu(self.fc1(tokens)))


class Block(nn.Layer):
    """Transformer block: attention, then the feed-forward layer, each with a residual connection."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(size.width, epsilon=1e-6)
        self.attn = Attention(size.width, size.heads)
        self.norm2 = nn.LayerNorm(size.width, epsilon=1e-6)
        self.mlp = Mlp(size.width)

    def forward(self, tokens: paddle.Tensor) -> paddle.Tensor:
        """Tokens (B, N, E) -> (B, N, E)."""
        tokens = tokens + self.attn(self.norm1(tokens))
        return tokens + self.mlp(self.norm2(tokens))


class PatchEmbed(nn.Layer):
    """Embeddings of overlapping patches of 16 bins by 16 frames: (B, 1, F, T) -> (B, E, f, t)."""

    def __init__(self, width: int, strides: tuple[int, int]) -> None:
        super().__init__()
        start = paddle.ParamAttr(initializer=_uniform(PATCH * PATCH))
        self.proj = nn.Conv2D(1, width, PATCH, strides, weight_attr=start, bias_attr=start)

    def forward(self, image: paddle.Tensor) -> paddle.Tensor:
        """Image (B, 1, F, T) -> (B, E, f, t)."""
        return self.proj(image)


class Transformer(nn.Layer):
    """Image (B, 1, F, T) -> normalized tokens (B, 2 + f t, E); patch tokens are ordered by bin, then by time."""

    def __init__(self, size: Size, grid: Grid) -> None:
        super().__init__()
        self._grid, self._width = grid, size.width
        bins, frames = grid.patches
        self.patch_embed = PatchEmbed(size.width, grid.strides)
        self.cls_token = self.create_parameter([1, 1, size.width], default_initializer=NORMAL)
        self.dist_token = self.create_parameter([1, 1, size.width], default_initializer=NORMAL)
        self.pos_embed = self.create_parameter([1, TOKENS + bins * frames, size.width], default_initializer=NORMAL)
        self.blocks = nn.LayerList([Block(size) for _ in range(size.depth)])
        self.norm = nn.LayerNorm(size.width, epsilon=1e-6)

    def forward(self, image: paddle.Tensor) -> paddle.Tensor:
        """Image (B, 1, F, T) -> tokens (B, 2 + f t, E)."""
        patches = self.patch_embed(image)
        patches = patches + self.positions(patches)
        tokens = patches.flatten(2).transpose([0, 2, 1])
        # Position embeddings are added before concatenation: Paddle Inference 2.6.2 crashes on concat of parameters.
        whole = [paddle.shape(tokens)[0], 1, self._width]
        class_token = (self.cls_token + self.pos_embed[:, :1]).expand(whole)
        distillation_token = (self.dist_token + self.pos_embed[:, 1:TOKENS]).expand(whole)
        tokens = paddle.concat([class_token, distillation_token, tokens], axis=1)
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens)

    def positions(self, patches: paddle.Tensor) -> paddle.Tensor:
        """Position embeddings (1, E, f, t) for patches (B, E, f, t).

        For fewer patches in time the middle ones are used, for more they are interpolated along time, as in the
        original for another input length. One weighted sum covers all cases, because a static graph does not know the
        length; it is exact where the weights are 0 and 1.
        """
        bins, known = self._grid.patches
        learned = self.pos_embed[:, TOKENS:].reshape([bins, known, self._width])
        with paddle.amp.auto_cast(enable=False):
            patches_in_time = paddle.shape(patches)[3]
            place, count = _numbers(patches_in_time), patches_in_time.astype("float32")
            middle = place + known // 2 - paddle.floor(count / 2.0)
            between = paddle.clip((place + 0.5) * (known / count) - 0.5, 0.0, known - 1.0)
            # `where` causes a warning in a static graph (Paddle 3.3.1).
            fits = (count <= known).astype("float32")
            source = (fits * middle + (1.0 - fits) * between).unsqueeze(1)
            weights = F.relu(1.0 - paddle.abs(source - _numbers(known)))
            return paddle.matmul(weights, learned).transpose([2, 0, 1]).unsqueeze(0)


def _numbers(count: int | paddle.Tensor) -> paddle.Tensor:
    """The numbers from 0, (count,) float32; `arange` causes a warning in a static graph (Paddle 2.6.2)."""
    return paddle.cumsum(paddle.full([count], 1.0, "float32")) - 1.0


class Ast(nn.Layer):
    """Features (B, 1, T, F) -> logits (B, C)."""

    not_needed = ("v.head", "v.head_dist")
    """Unused keys of the published files: the heads of the pretrained image network."""

    def __init__(self, size: Size, grid: Grid, classes: int) -> None:
        super().__init__()
        self._grid = grid
        self.v = Transformer(size, grid)
        start = paddle.ParamAttr(initializer=_uniform(size.width))
        self.mlp_head = nn.Sequential(nn.LayerNorm(size.width), nn.Linear(size.width, classes, start, start))

    def forward(self, features: paddle.Tensor) -> paddle.Tensor:
        """Features (B, 1, T, F) -> logits (B, C)."""
        return self.mlp_head(self.embed(features))

    def embed(self, features: paddle.Tensor) -> paddle.Tensor:
        """Features (B, 1, T, F) -> the mean of the two tokens (B, E)."""
        tokens = self.v(self.padded(features).transpose([0, 1, 3, 2]))
        return (tokens[:, 0] + tokens[:, 1]) / 2.0

    def padded(self, features: paddle.Tensor) -> paddle.Tensor:
        """Pad features (B, 1, T, F) at the end to at least `padded_frames` frames."""
        wanted = self._grid.padded_frames
        if not wanted:
            return features
        # Always pad and then cut, because a static graph does not know the length and cannot handle empty tensors.
        longer = F.pad(features, [0, 0, 0, wanted], value=self._grid.padding)
        return longer[:, :, : paddle.clip(paddle.shape(features)[2], min=wanted)]
