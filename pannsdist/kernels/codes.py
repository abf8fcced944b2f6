"""Numbers of oneDNN's C interface, from its public header `dnnl_types.h` (versions 3.x)."""

from __future__ import annotations

from typing import Final

CPU_ENGINE: Final = 1
IN_ORDER: Final = 1
ANY_LAYOUT: Final = 1
STATUS: Final = {
    1: "out of memory",
    2: "invalid arguments",
    3: "not implemented",
    4: "no more implementations",
    5: "run-time error",
    6: "not required",
}
DTYPES: Final = {"bfloat16": 2, "float32": 3, "uint8": 6}
FORWARD_TRAINING, FORWARD_INFERENCE, BACKWARD, BACKWARD_DATA = 64, 96, 128, 160
DIRECT_CONVOLUTION: Final = 1
RELU, LINEAR, HARD_SIGMOID, SIGMOID, SWISH, CLIP, HARD_SWISH = 0x20, 0x26, 0x28, 0x29, 0x2C, 0x2E, 0x34
AVERAGE_POOL_WITH_PADDING, AVERAGE_POOL = 0x2FF, 0x3FF
MULTIPLY: Final = 0x1FFF1
GLOBAL_STATISTICS, USE_SCALE, USE_SHIFT, FUSED_RELU = 1, 2, 4, 8

SRC, SRC_1, DST, WEIGHTS, BIAS, MEAN, VARIANCE, SCALE, SHIFT, WORKSPACE = 1, 2, 17, 33, 41, 49, 50, 51, 52, 64
DIFF_SRC, DIFF_DST, DIFF_WEIGHTS, DIFF_BIAS, DIFF_SCALE, DIFF_SHIFT = 129, 145, 161, 169, 255, 256
"""Arguments of primitives."""
QUERY_LAYOUT: Final = 255
"""A query for the layout of an argument, by its number above."""
