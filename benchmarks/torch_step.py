"""The training step of PANNs' CNN6 and CNN10 in PyTorch, for comparison: train_step.py runs it in another Python.

    python benchmarks/torch_step.py [--bf16] [--channels-last] WORK

WORK is, for example, {"model": "panns_cnn10", "steps": 1, "clips": 8, "clip_s": 5}.

The networks are written from their description (Kong et al., PANNs, 2020, table 2) with the settings that `panns_cnn10`
has here: log-mel by torchlibrosa, SpecAugment and mixup off, AdamW. It prints the seconds of each measured step.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torchlibrosa.stft import LogmelFilterBank, Spectrogram

CLASSES, RATE_HZ, CHANNELS = 50, 32000, (64, 128, 256, 512)


class Block(nn.Module):
    """One or two convolutions, each with batch normalisation and ReLU; average pooling by 2; dropout."""

    def __init__(self, inside: int, outside: int, kernel: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.Sequential()
        for channels in (inside, outside)[:layers]:
            self.layers.append(nn.Conv2d(channels, outside, kernel, padding=kernel // 2, bias=False))
            self.layers.extend([nn.BatchNorm2d(outside), nn.ReLU()])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, T, F) to (B, C', T/2, F/2)."""
        return functional.dropout(functional.avg_pool2d(self.layers(x), 2), 0.2, self.training)


class PannsCnn(nn.Module):
    """Waveform (B, S) to logits (B, 50)."""

    def __init__(self, kernel: int, layers: int) -> None:
        super().__init__()
        self.spectrogram = Spectrogram(n_fft=1024, hop_length=320)
        self.logmel = LogmelFilterBank(sr=RATE_HZ, n_fft=1024, n_mels=64, fmin=50, fmax=14000)
        self.norm = nn.BatchNorm2d(64)
        ends = zip((1, *CHANNELS), CHANNELS, strict=False)
        self.blocks = nn.Sequential(*(Block(inside, outside, kernel, layers) for inside, outside in ends))
        self.dense, self.head = nn.Linear(CHANNELS[-1], CHANNELS[-1]), nn.Linear(CHANNELS[-1], CLASSES)

    def features(self, waveform: torch.Tensor) -> torch.Tensor:
        """(B, S) to (B, 1, T, F)."""
        return self.logmel(self.spectrogram(waveform))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(B, 1, T, F) to (B, 50)."""
        x = self.norm(features.transpose(1, 3)).transpose(1, 3)
        x = self.blocks(x).mean(dim=3)
        x = functional.dropout(x.amax(dim=2) + x.mean(dim=2), 0.5, self.training)
        return self.head(functional.dropout(functional.relu(self.dense(x)), 0.5, self.training))


NETWORKS = {"panns_cnn6": (5, 1), "panns_cnn10": (3, 2)}
"""Kernel size and convolutions of each block."""


def seconds(work: dict[str, Any], *, bf16: bool, channels_last: bool) -> list[float]:
    """The seconds of each measured step, after two steps to warm up."""
    torch.manual_seed(0)
    network = PannsCnn(*NETWORKS[work["model"]])
    if channels_last:
        network = network.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)
    waveforms = torch.rand(work["clips"], round(work["clip_s"] * RATE_HZ)) - 0.5
    targets = torch.randint(0, CLASSES, (work["clips"],))
    found = []
    for _ in range(work["steps"] + 2):
        start = time.perf_counter()
        with torch.no_grad():
            features = network.features(waveforms)
        if channels_last:
            features = features.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = functional.cross_entropy(network(features), targets)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        found.append(time.perf_counter() - start)
    return found[2:]


def main() -> None:
    """Print the seconds as JSON."""
    parser = argparse.ArgumentParser(description="A training step of PANNs in PyTorch.")
    parser.add_argument("work", type=json.loads, help="what train_step.py measures")
    parser.add_argument("--bf16", action="store_true", help="autocast to bfloat16")
    parser.add_argument("--channels-last", action="store_true", help="memory format of activations and weights")
    chosen = parser.parse_args()
    print(json.dumps(seconds(chosen.work, bf16=chosen.bf16, channels_last=chosen.channels_last)))


if __name__ == "__main__":
    main()
