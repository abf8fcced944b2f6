"""Weights and inputs by rule, and the script that made `frame_mn_reference.npz` of them.

The tests need numpy alone. To make the file anew, in an environment with torch, torchvision and torchaudio, and with
theMoro/EfficientSED (commit 7bef42e) in FOLDER:
    python frame_mn_reference.py FOLDER
It runs the original's front end and network, with its linear head of frames.
"""

from __future__ import annotations

import sys
import types
import zlib
from pathlib import Path

import numpy as np

FILE = Path(__file__).with_name("frame_mn_reference.npz")
WIDTHS = {"frame_mn04": 0.4, "frame_mn06": 0.6, "frame_mn10": 1.0}
CLASSES, RATE_HZ, SAMPLES = 447, 16000, 32000
KEPT = 7
"""Every so many values of the logits are in the file."""


def waveform() -> np.ndarray:
    """(1, S): noise whose level changes, with silence at the end."""
    random = np.random.default_rng(0)
    level = np.repeat(10 ** random.uniform(-3, -0.5, 16), SAMPLES // 16)
    level[-SAMPLES // 8 :] = 0
    return (level * random.normal(0, 1, SAMPLES)).astype(np.float32)[None]


def by_rule(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The tensor of a published name, which fits what it is: of a size that keeps activations near 1."""
    drawn = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape).astype(np.float32)
    if name.endswith("running_var"):
        return 1 + 0.2 * np.abs(drawn)
    if name.endswith("running_mean") or name.endswith("bias"):
        return 0.1 * drawn
    if len(shape) == 1:
        return 1 + 0.1 * drawn
    fan_in = int(np.prod(shape[1:]))
    return np.asarray(drawn * np.sqrt(1.6 / fan_in), np.float32)


def main(folder: str) -> None:
    """Write the file."""
    import torch

    sys.path.insert(0, folder)
    from models.efficient_cnns.fmn.fmn_wrapper import FrameMNWrapper

    found: dict[str, np.ndarray] = {}
    for name, width in WIDTHS.items():
        original = FrameMNWrapper(width)
        size = original.fmn.features[16][1].bias.shape[0]
        state = original.fmn.state_dict()
        made = {key: by_rule(f"model.{key}", tuple(value.shape)) for key, value in state.items() if value.ndim}
        original.fmn.load_state_dict({key: torch.from_numpy(value) for key, value in made.items()}, strict=False)
        head = torch.nn.Linear(size, CLASSES)
        head.weight.data = torch.from_numpy(by_rule("strong_head.weight", (CLASSES, size)))
        head.bias.data = torch.from_numpy(by_rule("strong_head.bias", (CLASSES,)))
        original.eval()
        with torch.no_grad():
            features = original.mel_forward(torch.from_numpy(waveform()))
            logits = head(original(features))
        found["features"] = features[0, 0].T.numpy()[::5]
        found[name] = logits[0].numpy().reshape(-1)[::KEPT]
        found[f"{name}_names"] = np.array(sorted(f"model.{key}" for key, value in state.items() if value.ndim))
    np.savez_compressed(FILE, **found)


if __name__ == "__main__":
    sys.modules.setdefault("mamba_ssm", types.ModuleType("mamba_ssm"))
    main(sys.argv[1])
