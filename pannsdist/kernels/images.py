"""Images in the layout of the kernels: channels next to each other, (B, H, W, C) in memory."""

from __future__ import annotations

from dataclasses import dataclass

import paddle

from pannsdist.kernels import codes
from pannsdist.kernels.library import Library
from pannsdist.kernels.primitives import KEPT, Descriptions, Layout, Primitive, copies, image, planes


@dataclass(frozen=True)
class Image:
    """An image: its array (B, H, W, C), contiguous, and its layout as (B, C, H, W)."""

    array: paddle.Tensor
    layout: Layout

    @property
    def pointer(self) -> int:
        """The address of the array, which lives as long as this object."""
        return int(self.array.data_ptr())


def empty(layout: Layout) -> Image:
    """An image that is to be written. `layout` is one of `primitives.image`."""
    batch, channels, height, width = layout.sizes
    return Image(paddle.empty([batch, height, width, channels], layout.dtype), layout)


def enter(library: Library, array: paddle.Tensor, dtype: str) -> Image:
    """(B, C, H, W) float32 in Paddle's layout -> an image of a type."""
    array = array.contiguous()
    source = planes(tuple(array.shape))
    made = empty(image(source.sizes, dtype))
    reorder(library, source, made.layout)({codes.SRC: int(array.data_ptr()), codes.DST: made.pointer})
    return made


def leave(library: Library, given: Image) -> paddle.Tensor:
    """An image -> (B, C, H, W) float32 in Paddle's layout."""
    target = planes(given.layout.sizes)
    array = paddle.empty(list(target.sizes), target.dtype)
    reorder(library, given.layout, target)({codes.SRC: given.pointer, codes.DST: int(array.data_ptr())})
    return array


def reorder(library: Library, source: Layout, target: Layout) -> Primitive:
    """Copies between two layouts and types of the same sizes."""

    def create() -> Primitive:
        with Descriptions(library) as of:
            return copies(library, of.of(source), of.of(target))

    found: Primitive = KEPT.get(("reorder", source, target), create)
    return found
