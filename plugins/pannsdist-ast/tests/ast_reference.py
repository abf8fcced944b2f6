"""Weights and inputs by rule, and the script that made `reference.npz` of them.

The tests need numpy alone. To make the file anew, in an environment with torch 2.15, torchaudio and transformers 5.23:
    python ast_reference.py
It runs `ASTForAudioClassification`, with the epsilons of the original's layer norms, on weights that are given their
names as its conversion script does, and positions cut or interpolated as the original does when it is built.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

FILE = Path(__file__).with_name("reference.npz")
PATCH, TOKENS = 16, 2


@dataclass(frozen=True)
class Case:
    """A network, the length that its positions are for, and the length of what it hears."""

    width: int
    heads: int
    depth: int = 12
    strides: tuple[int, int] = (10, 10)
    bins: int = 128
    frames: int = 1024
    heard_frames: int = 1024
    classes: int = 527

    def patches(self, frames: int) -> tuple[int, int]:
        """Along bins and frames."""
        return (self.bins - PATCH) // self.strides[0] + 1, (frames - PATCH) // self.strides[1] + 1

    def features(self) -> np.ndarray:
        """(1, T, F)."""
        shape = (1, self.heard_frames, self.bins)
        return np.random.default_rng(self.heard_frames).standard_normal(shape).astype(np.float32)


CASES = {
    "two_blocks": Case(32, 2, depth=2, strides=(12, 8), bins=40, frames=96, heard_frames=96, classes=5),
    "tiny": Case(192, 3),
    "tiny_cut": Case(192, 3, heard_frames=498),
    "tiny_cut_to_an_even_number": Case(192, 3, heard_frames=66),
    "tiny_interpolated": Case(192, 3, heard_frames=1300),
    "small": Case(384, 6, heard_frames=256),
    "base": Case(768, 12, heard_frames=128, classes=50),
}


def weights_of(case: Case) -> dict[str, np.ndarray]:
    """Weights by rule, under the names and with the axes of the published files."""
    width, (bins, frames) = case.width, case.patches(case.frames)
    shapes = {
        "v.cls_token": (1, 1, width),
        "v.pos_embed": (1, TOKENS + bins * frames, width),
        "v.dist_token": (1, 1, width),
        **_layer("v.patch_embed.proj", width, 1, PATCH, PATCH),
    }
    for block in (f"v.blocks.{number}" for number in range(case.depth)):
        shapes |= _layer(f"{block}.norm1", width) | _layer(f"{block}.norm2", width)
        shapes |= _layer(f"{block}.attn.qkv", 3 * width, width) | _layer(f"{block}.attn.proj", width, width)
        shapes |= _layer(f"{block}.mlp.fc1", 4 * width, width) | _layer(f"{block}.mlp.fc2", width, 4 * width)
    shapes |= _layer("v.norm", width) | _layer("v.head", 1000, width) | _layer("v.head_dist", 1000, width)
    shapes |= _layer("mlp_head.0", width) | _layer("mlp_head.1", case.classes, width)
    return {f"module.{name}": _by_rule(name, shape) for name, shape in shapes.items()}


def _layer(name: str, *shape: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}


def _by_rule(name: str, shape: tuple[int, ...]) -> np.ndarray:
    drawn = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape, dtype=np.float32)
    if name.endswith(".weight"):
        return drawn * math.sqrt(2 / math.prod(shape[1:])) if len(shape) > 1 else 1 + 0.1 * drawn
    return 0.1 * drawn if name.endswith(".bias") else 0.5 * drawn


def waveform() -> np.ndarray:
    """A second at 16 kHz: a rising tone, louder and softer, over noise and a constant. (S,) float32."""
    time_s = np.arange(16000) / 16000
    noise = np.random.default_rng(0).standard_normal(16000)
    tone = np.sin(2 * np.pi * (200 + 1500 * time_s) * time_s) * np.sin(7 * time_s)
    return (0.3 * tone + 0.003 * noise + 0.02).astype(np.float32)


def _logits(case: Case) -> np.ndarray:
    import torch
    from transformers import ASTConfig, ASTForAudioClassification

    state = {key.removeprefix("module."): torch.from_numpy(value) for key, value in weights_of(case).items()}
    config = ASTConfig(
        hidden_size=case.width,
        num_hidden_layers=case.depth,
        num_attention_heads=case.heads,
        intermediate_size=4 * case.width,
        layer_norm_eps=1e-6,
        frequency_stride=case.strides[0],
        time_stride=case.strides[1],
        max_length=case.heard_frames,
        num_mel_bins=case.bins,
        num_labels=case.classes,
    )
    network = ASTForAudioClassification(config).eval()
    network.classifier.layernorm.eps = 1e-5
    body = "audio_spectrogram_transformer"
    theirs = {
        f"{body}.embeddings.cls_token": state["v.cls_token"],
        f"{body}.embeddings.distillation_token": state["v.dist_token"],
        f"{body}.embeddings.position_embeddings": _positions(case, state["v.pos_embed"]),
    }
    names = {
        "v.patch_embed.proj": f"{body}.embeddings.patch_embeddings.projection",
        "v.norm": f"{body}.layernorm",
        "mlp_head.0": "classifier.layernorm",
        "mlp_head.1": "classifier.dense",
    }
    parts = ("norm1", "layernorm_before"), ("norm2", "layernorm_after"), ("attn.proj", "attention.o_proj")
    for number in range(case.depth):
        for ours, their in (*parts, ("mlp.fc1", "mlp.fc1"), ("mlp.fc2", "mlp.fc2")):
            names[f"v.blocks.{number}.{ours}"] = f"{body}.layers.{number}.{their}"
    for kind in ("weight", "bias"):
        theirs |= {f"{their}.{kind}": state[f"{ours}.{kind}"] for ours, their in names.items()}
        for number in range(case.depth):
            thirds = state[f"v.blocks.{number}.attn.qkv.{kind}"].chunk(3)
            for letter, third in zip("qkv", thirds, strict=True):
                theirs[f"{body}.layers.{number}.attention.{letter}_proj.{kind}"] = third
    network.load_state_dict(theirs)
    with torch.no_grad():
        return network(torch.from_numpy(case.features())).logits.numpy()


def _positions(case: Case, learned):
    import torch

    (bins, known), (_, count) = case.patches(case.frames), case.patches(case.heard_frames)
    image = learned[:, TOKENS:].transpose(1, 2).reshape(1, case.width, bins, known)
    if count <= known:
        first = known // 2 - count // 2
        image = image[..., first : first + count]
    else:
        image = torch.nn.functional.interpolate(image, size=(bins, count), mode="bilinear")
    return torch.cat([learned[:, :TOKENS], image.flatten(2).transpose(1, 2)], dim=1)


def _filter_bank() -> np.ndarray:
    import torch
    from torchaudio.compliance.kaldi import fbank

    settings = {"htk_compat": True, "use_energy": False, "window_type": "hanning", "num_mel_bins": 128, "dither": 0.0}
    bank = fbank(torch.from_numpy(waveform())[None], sample_frequency=16000, frame_shift=10, **settings)
    return ((bank - -4.2677393) / (2 * 4.5689974)).numpy()


if __name__ == "__main__":
    made = {name: _logits(case) for name, case in CASES.items()}
    np.savez_compressed(FILE, filter_bank=_filter_bank(), **made)
    print(f"{FILE.stat().st_size} bytes", {name: float(np.abs(value).max()) for name, value in made.items()})
