"""Under which names weights are found in the wild, and the bare names under them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pannsdist.weights.formats.arrays import Array

FRONT_END = ("spectrogram_extractor.", "logmel_extractor.")
"""What PANNs' PyTorch files hold beside the network: their STFT and mel matrices."""
FOREIGN_HEADS = ("fc_transfer", "fc")
"""Heads of fine-tuned networks that wrap a PANNs: the authors' transfer template; PaddleHub and PaddleSpeech."""


@dataclass(frozen=True)
class Wrapping:
    """A network around a PANNs: the prefix of the keys inside, its own head, and what it is called in messages."""

    prefix: str
    head: str
    words: str


WRAPPINGS = (
    Wrapping("base.", "fc_transfer", "transfer template (base.*, head fc_transfer)"),
    Wrapping("cnn14.", "fc", "PaddleHub fine-tuned (cnn14.*, head fc)"),
    Wrapping("cnn10.", "fc", "PaddleHub fine-tuned (cnn10.*, head fc)"),
    Wrapping("cnn6.", "fc", "PaddleHub fine-tuned (cnn6.*, head fc)"),
    Wrapping("backbone.", "fc", "PaddleSpeech fine-tuned (backbone.*, head fc)"),
)


def bare(state: Mapping[str, Array]) -> tuple[dict[str, Array], str]:
    """The same weights under bare names, and which layout they had, in words.

    A head of a wrapping keeps its name (`fc_transfer.*`, `fc.*`), beside the head that the PANNs inside may still have.
    """
    inner, is_parallel = dict(state), all(key.startswith("module.") for key in state)
    if is_parallel:
        inner = {key.removeprefix("module."): value for key, value in state.items()}
    for wrapping in WRAPPINGS:
        if is_wrapped(inner, wrapping):
            inner, words = unwrapped(inner, wrapping), wrapping.words
            break
    else:
        words = "original PANNs" if any(key.startswith(FRONT_END) for key in inner) else "bare keys"
    return inner, words + (", module.-prefixed" if is_parallel else "")


def is_wrapped(state: Mapping[str, Array], wrapping: Wrapping) -> bool:
    """Whether every key is inside the wrapping or belongs to its head, and no two would get one name."""
    inside = [key for key in state if key.startswith(wrapping.prefix)]
    all_known = all(key.startswith((wrapping.prefix, wrapping.head + ".")) for key in state)
    return bool(inside) and all_known and len(unwrapped(state, wrapping)) == len(state)


def unwrapped(state: Mapping[str, Array], wrapping: Wrapping) -> dict[str, Array]:
    """The state without the wrapping's prefix."""
    return {key.removeprefix(wrapping.prefix): value for key, value in state.items()}
