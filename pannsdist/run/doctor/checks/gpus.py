"""GPUs: machine code in the wheel, driver, libraries, visibility, free memory, ECC and power limit."""

from __future__ import annotations

from collections.abc import Iterator

from pannsdist.run.doctor.checks.software import numbers
from pannsdist.run.doctor.facts import CardState, Facts, Gpus, Paddle
from pannsdist.run.doctor.finding import Finding, error, ok, unknown, warning
from pannsdist.run.doctor.wheel import capability_text, has_code, install_command
from pannsdist.runtime.errors import shell_command

OLDEST_DRIVER = {11: "450.80.02", 12: "525.60.13", 13: "580.65.06"}
"""The oldest driver for Linux that runs programs of a major version of CUDA (NVIDIA, CUDA Compatibility)."""
FREE_PART = 0.9
"""A GPU with less free memory is used by something else."""
UPGRADE_DRIVER = "install a newer NVIDIA driver"


def check(facts: Facts) -> Iterator[Finding]:
    """Findings about the GPUs of a node; one line where it has none and needs none."""
    paddle, gpus = facts.software.paddle, facts.gpus
    if not gpus.states:
        yield _none(paddle)
        return
    yield _visible(gpus)
    if not paddle.is_for_gpus:
        newest = max((state.card.capability or 0) for state in gpus.states)
        seen = f"{len(gpus.states)} GPUs stay unused: Paddle's wheel is for the CPU"
        removed = shell_command("python", "-m", "pip", "uninstall", "-y", "paddlepaddle")
        yield warning("wheel for the GPU", seen, f"{removed} && {install_command(newest or None)}")
    else:
        yield from (_machine_code(paddle, state) for state in gpus.states)
        yield _driver(paddle, gpus.states[0])
        yield from _libraries(paddle, gpus)
    yield _alike(gpus)
    for state in gpus.states:
        yield from (_memory(state), _ecc(state), _power(state))


def _none(paddle: Paddle) -> Finding:
    if not paddle.is_for_gpus:
        return ok("GPU", "none, and Paddle's wheel is for the CPU")
    seen = "Paddle's wheel is for GPUs, but nvidia-smi lists none"
    return error(
        "GPU", seen, "nvidia-smi; in a container: docker run --gpus all; without a GPU: pip install paddlepaddle"
    )


def _visible(gpus: Gpus) -> Finding:
    found = [state.card.index for state in gpus.states]
    cards = "; ".join(str(state.card) for state in gpus.states)
    if gpus.visible is None:
        return ok("GPU visibility", cards)
    names = [name.strip() for name in gpus.visible.split(",") if name.strip()]
    unknown_ones = [name for name in names if name.isdigit() and name not in found]
    seen = f"CUDA_VISIBLE_DEVICES={gpus.visible}"
    if unknown_ones:
        wrong = f"{seen} names GPU {', '.join(unknown_ones)}; there are {', '.join(found)}"
        return error("GPU visibility", wrong, "unset CUDA_VISIBLE_DEVICES")
    if not names or names[0] == "-1":
        return warning("GPU visibility", f"{seen} hides all {len(found)} GPUs", "unset CUDA_VISIBLE_DEVICES")
    return ok("GPU visibility", f"{seen} of {cards}")


def _machine_code(paddle: Paddle, state: CardState) -> Finding:
    name, capability = f"machine code, GPU {state.card.index}", state.card.capability
    if capability is None:
        return unknown(name, f"{state.card}: the driver does not tell the compute capability", UPGRADE_DRIVER)
    if paddle.archs is None:
        return unknown(name, f"Paddle {paddle.version} does not tell what it has machine code for")
    codes = ", ".join(map(capability_text, paddle.archs)) or "no GPU"
    if has_code(paddle.archs, capability):
        return ok(name, f"{state.card}; the wheel has code for {codes}")
    seen = f"{state.card}, but Paddle {paddle.version} has machine code for {codes}: it fails at the first operation"
    removed = shell_command("python", "-m", "pip", "uninstall", "-y", *paddle.distributions)
    return error(name, seen, f"{removed} && {install_command(capability)}")


def _driver(paddle: Paddle, state: CardState) -> Finding:
    oldest = OLDEST_DRIVER.get((numbers(paddle.cuda) or (0,))[0])
    if not state.driver or oldest is None:
        return unknown("NVIDIA driver", f"driver '{state.driver}', CUDA {paddle.cuda}")
    if numbers(state.driver) < numbers(oldest):
        return error("NVIDIA driver", f"{state.driver}; CUDA {paddle.cuda} needs {oldest} or newer", UPGRADE_DRIVER)
    return ok("NVIDIA driver", f"{state.driver}, for CUDA {paddle.cuda}")


def _libraries(paddle: Paddle, gpus: Gpus) -> Iterator[Finding]:
    for name, wanted in (("cuDNN", paddle.cudnn), ("NCCL", paddle.nccl)):
        found = gpus.libraries.get(name, "")
        seen = f"{found or 'not found'}; the wheel was built with {wanted or 'an unknown version'}"
        if found:
            yield ok(name, seen)
        else:
            major = (numbers(paddle.cuda) or (12,))[0]
            right = shell_command("python", "-m", "pip", "install", f"nvidia-{name.lower()}-cu{major}")
            yield warning(name, seen, right)


def _alike(gpus: Gpus) -> Finding:
    names = sorted({state.card.name for state in gpus.states})
    if len(names) == 1:
        return ok("kinds of GPU", names[0])
    seen = f"{', '.join(names)}: every step waits for the slowest"
    return warning("kinds of GPU", seen, "train on GPUs of one kind: pannsdist train --gpus")


def _memory(state: CardState) -> Finding:
    name = f"memory, GPU {state.card.index}"
    if not state.memory_mib or state.free_mib is None:
        return unknown(name, "nvidia-smi does not tell it")
    seen = f"{state.free_mib:.0f} of {state.memory_mib:.0f} MiB are free"
    if state.free_mib < FREE_PART * state.memory_mib:
        return warning(
            name, f"{seen}: another process uses this GPU", "nvidia-smi --query-compute-apps=pid,name --format=csv"
        )
    return ok(name, seen)


def _ecc(state: CardState) -> Finding:
    name = f"ECC, GPU {state.card.index}"
    if state.ecc_errors:
        seen = f"{state.ecc_errors:.0f} uncorrected errors since the driver was loaded: results may be wrong"
        return error(name, seen, shell_command("nvidia-smi", "--gpu-reset", "-i", state.card.index))
    return ok(name, f"{state.ecc or 'this GPU has none'}{', no uncorrected errors' if state.ecc else ''}")


def _power(state: CardState) -> Finding:
    name = f"power limit, GPU {state.card.index}"
    if state.power_w is None or state.default_power_w is None:
        return unknown(name, "nvidia-smi does not tell it")
    seen = f"{state.power_w:.0f} W of {state.default_power_w:.0f} W"
    if state.power_w < state.default_power_w:
        right = shell_command("nvidia-smi", "-i", state.card.index, "-pl", f"{state.default_power_w:.0f}")
        return warning(name, f"{seen}: slower than it could be", right)
    return ok(name, seen)
