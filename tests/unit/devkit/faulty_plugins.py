"""Plugins of every kind with one fault each, by a param; without a fault they keep the contract."""

from __future__ import annotations

import itertools
import os
import random
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile

from pannsdist.contracts import Clip, Event, FrontEnd, UserError, param

NUMBERS = itertools.count()
WRONG_LABELS = {"unknown label": ("shrill",), "two labels": ("high", "low")}


@dataclass(frozen=True)
class Faulty:
    """`fault` is what is wrong."""

    fault: str = ""


@dataclass(frozen=True)
class Tone:
    pitch_hz: float

    def samples(self):
        return np.sin(2 * np.pi * self.pitch_hz * np.arange(4000) / 8000).astype(np.float32), 8000


class Local:
    """A sound that does not pickle."""

    def __init__(self):
        self.samples = lambda: (np.ones(4000, np.float32), 8000)


@dataclass(frozen=True)
class DatasetParams(Faulty):
    """`root` is where a dataset reads; `fold` is valid."""

    root: str = ""
    fold: int = 1


class Dataset:
    """Six tones in three folds."""

    Params = DatasetParams
    fold_param = "fold"
    labels, multi_label, splits = ("high", "low"), False, ("train", "valid")

    def __init__(self, params):
        self.fault, self.fold, self.root = params.fault, params.fold, Path(params.root)
        if self.fault == "one label":
            self.labels = ("high",)
        self.multi_label = self.fault == "late event"
        if self.fault == "no valid":
            self.splits = ("train", "test")

    @classmethod
    def folds(cls, params):
        return (1, 2, 2) if params.fault == "fold twice" else (1, 2, 3)

    def clips(self, split):
        if split not in ("train", "valid", "test") and self.fault != "any split":
            raise UserError(f"no split {split!r}")
        clips = [
            Clip(f"{fold}/{label}", Tone(100.0 * fold + 900.0 * (label == "high")), (label,))
            for fold in (1, 2, 3)
            for label in self.labels
            if (fold == self.fold) == (split == "valid")
        ]
        return list(self._spoilt(clips, split))

    def _spoilt(self, clips, split):
        first = clips[0]
        if self.fault == "order":
            clips = list({clip.id: clip for clip in clips}.values())
            order = list({clip.id for clip in clips})
            clips.sort(key=lambda clip: order.index(clip.id))
        if self.fault == "order here":
            clips = clips[next(NUMBERS) % len(clips) :] + clips
        if self.fault == "twice":
            clips.append(replace(clips[0], labels=("low",)))
        if self.fault == "leak":
            clips[0] = Clip("shared", first.source, first.labels)
        if self.fault == "same file":
            clips[0] = Clip(f"{split} file", self.root / "a.wav", first.labels)
        if self.fault in ("opens", "soundfile", "silent", "absent"):
            clips[0] = Clip(first.id, self.root / f"{self.fault}.wav", first.labels)
        if self.fault == "opens":
            (self.root / "opens.wav").open("rb").close()
        if self.fault == "soundfile":
            soundfile.info(self.root / "soundfile.wav")
        if self.fault in WRONG_LABELS:
            clips[0] = replace(first, labels=WRONG_LABELS[self.fault])
        if self.fault == "late event":
            clips[0] = replace(first, duration_s=0.5, events=(Event(0.0, 0.75, first.labels[0]),))
        if self.fault == "local":
            clips[0] = Clip(first.id, Local(), first.labels)
        if self.fault == "fold leaks" and split == "train":
            clips.append(Clip(f"{self.fold}/high", Tone(1.0), ("high",)))
        return clips


@dataclass(frozen=True)
class PlaceParams:
    """`root` is a folder."""

    root: str
    fault: str = param("", "what is wrong")


class Placed(Dataset):
    """Tones that need a place."""

    Params = PlaceParams
    fold_param = None

    def __init__(self, params):
        if not Path(params.root).is_dir() and params.fault != "any place":
            raise UserError("no such folder" if params.fault == "unnamed" else f"data.params.root is {params.root!r}")
        super().__init__(DatasetParams(params.fault))


class BadParams:
    """Params of every fault."""

    @dataclass
    class Params:
        depth: int = -1

    labels, multi_label, splits = ("a", "b"), False, ("train", "valid")

    def __init__(self, params):
        if params.depth < 0:
            raise UserError(f"data.params.depth is {params.depth}")

    def clips(self, _):
        return []


FRONT_END = FrontEnd("faulty", 8000, 64, 32, 64, 4, 0.0, 4000.0)


class Feature:
    """Means of stretches."""

    Params = Faulty

    def __init__(self, params):
        self.fault = params.fault
        details = {"details": (("z", 1), ("a", 2)), "two": (("number", next(NUMBERS)),)}.get(self.fault, ())
        self.front_end = replace(FRONT_END, bins=5 if self.fault == "bins" else 4, details=details)

    def build(self):
        return spectrum(self.fault)


def spectrum(fault):
    import paddle
    from paddle import nn

    class Spectrum(nn.Layer):
        def __init__(self):
            super().__init__()
            self.fault = fault  # Paddle 2.6 finds no variable of the function around a layer
            self.drop = nn.Dropout(0.5)
            self.calls = 0
            if fault == "trains":
                self.weight = self.create_parameter([1])
            if fault == "saves":
                self.register_buffer("kept", paddle.ones([1]))

        def forward(self, waveform):
            hop = 40 if self.fault == "hop" else 32
            frames = waveform.shape[1] // hop
            stretches = waveform[:, : frames * hop].reshape([0, -1, 1, hop])[:, :, :, :32].reshape([0, -1, 4, 8])
            image = stretches.mean(axis=3).unsqueeze(1)
            if self.fault == "log":
                image = paddle.log(image.abs())
            if self.fault == "batch":
                image = image - image.mean()
            if self.fault == "training":
                image = self.drop(image)
            if self.fault == "random":
                image = image + paddle.rand([1])
            if self.fault == "double":
                image = image.astype("float64")
            if self.fault == "python":
                self.calls += 1
                image = image * self.calls
            return image

    return Spectrum()


class Model:
    """One linear layer on the mean of the frames."""

    Params, feature, feature_params, weights, head = Faulty, "faulty", {}, {}, "head"
    front_end = FRONT_END

    def __init__(self, params):
        self.fault = params.fault
        if self.fault == "front end":
            self.front_end = replace(FRONT_END, bins=8)

    def accepts(self, front_end):
        return self.fault == "front end" or front_end.kind == "faulty"

    def minimum_samples(self, _):
        return 8 if self.fault == "short" else 32

    def build(self, labels, _):
        return network(self.fault, len(labels))


def network(fault, classes):
    import paddle
    from paddle import nn

    class Network(nn.Layer):
        def __init__(self):
            super().__init__()
            self.fault, self.relu = fault, nn.ReLU()
            self.middle = nn.Linear(4, classes if fault == "not the head" else 6)
            self.head = nn.Linear(classes if fault == "not the head" else 6, 2 if fault == "two logits" else classes)
            self.drop = nn.Dropout(0.5)
            if fault == "idle":
                self.idle = self.create_parameter([3])
            if fault == "name":
                self.add_sublayer(f"part{next(NUMBERS)}", nn.Linear(4, 6))
            if fault == "seed":
                self.middle.weight.set_value(np.random.default_rng().normal(size=(4, 6)).astype(np.float32))
            self.hidden = paddle.rand([1]).item() if fault == "hidden state" else 0.0

        def forward(self, image):
            vector = self.relu(self.middle(image.mean(axis=[1, 2])) + 0.2)
            if self.fault == "batch":
                vector = vector - vector.mean(axis=0, keepdim=True)
            if self.fault == "random":
                vector = vector + paddle.rand([1])
            logits = self.head(vector) + self.hidden
            for name, layer in self.named_sublayers():
                if name.startswith("part"):
                    logits = logits + layer(image.mean(axis=[1, 2])).mean()
            return logits.astype("float64") if self.fault == "double" else logits

    return Network()


@dataclass(frozen=True)
class AugmentationParams(Faulty):
    """`fault` is what is wrong."""

    probability: float = param(1.0, "share of the clips", low=0.0, high=1.0)


class Augmentation:
    """A louder sound."""

    Params = AugmentationParams

    def __init__(self, params):
        self.fault, self.times = params.fault, 0

    def __call__(self, waveform, _, generator):
        self.times += 1
        gain = generator.uniform(0.5, 1.5)
        if self.fault == "shorter":
            return waveform[1:]
        if self.fault == "double":
            return waveform.astype(np.float64) * gain
        if self.fault == "remembers":
            gain = gain * self.times
        if self.fault == "in place":
            waveform *= np.float32(gain)
        if self.fault == "global":
            gain = random.random()
        if self.fault == "normalises":
            with np.errstate(invalid="ignore"):
                return waveform / np.abs(waveform).max()
        return waveform * np.float32(gain)


def change_folder():
    os.chdir("/")
