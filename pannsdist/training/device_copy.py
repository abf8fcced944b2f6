"""Copies of a batch's arrays on the device."""

from __future__ import annotations

import numpy as np
import paddle


def on_device(array: np.ndarray, on_gpu: bool) -> paddle.Tensor:
    """The array on this process's device, for which the host does not wait.

    For a GPU it goes through pinned memory, which the GPU reads when the work before it is done; Paddle keeps that
    memory until then. So the next batch is read, and put there, while the GPU computes. Not run on a GPU.
    """
    if not on_gpu:
        return paddle.to_tensor(array)
    return paddle.to_tensor(array, place=paddle.CUDAPinnedPlace()).cuda(blocking=False)
