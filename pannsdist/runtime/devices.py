"""The devices of this process by name, `cpu`, `gpu` or `gpu:N`: one rule wherever a device is chosen."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pannsdist.runtime.errors import UserError

CPU = "cpu"
FORM = re.compile(r"cpu|gpu(:(0|[1-9][0-9]{0,3}))?")


def available() -> tuple[str, ...]:
    """Paddle's names of the devices that the installed Paddle can use here: `cpu`, then `gpu:0` and so on."""
    import paddle

    count = paddle.device.cuda.device_count() if paddle.device.is_compiled_with_cuda() else 0
    return (CPU, *(f"gpu:{index}" for index in range(count)))


def find(name: str, known: Sequence[str]) -> str:
    """The one of the `known` devices that a name means; `gpu` is the first GPU. Raises UserError with what is there."""
    if not FORM.fullmatch(name):
        raise UserError(f"the device is '{name[:40]}'", f"give cpu, gpu or gpu:N; there is: {', '.join(known)}")
    wanted = "gpu:0" if name == "gpu" else name
    if wanted not in known:
        import paddle

        is_built = paddle.device.is_compiled_with_cuda()
        why = "" if is_built else "\nthe installed Paddle is built for the CPU"
        raise UserError(f"there is no device '{name}'", f"there is: {', '.join(known)}{why}")
    return wanted


@contextmanager
def selected(name: str) -> Iterator[None]:
    """Context in which Paddle computes on a device; empty leaves Paddle's device as it is. Raises UserError."""
    import paddle

    if not name:
        yield
        return
    device, before = find(name, available()), paddle.get_device()
    if device == before:
        yield
        return
    paddle.set_device(device)
    try:
        yield
    finally:
        paddle.set_device(before)
