"""Draws docs/images/augmentations.png: log-mels of one generated sound under each augmentation.

python docs/figures/augmentations.py
"""

from pathlib import Path

import matplotlib
import numpy as np
import paddle
from PIL import Image

from pannsdist.builtin.augmentations.equaliser import EqualiserParams, RandomEqualiser
from pannsdist.builtin.augmentations.gain import Gain, GainParams
from pannsdist.builtin.augmentations.noise import Noise, NoiseParams
from pannsdist.builtin.augmentations.speed import Speed, SpeedParams
from pannsdist.builtin.augmentations.time_roll import TimeRoll, TimeRollParams
from pannsdist.builtin.logmel import LogMel, LogMelParams
from pannsdist.contracts.feature_augmentation import AUGMENT_NOISE_SIZE, mixup, spec_augment_mask

matplotlib.use("Agg")

import matplotlib.pyplot as plt

RATE_HZ, LENGTH = 32000, 96000
PICTURE = Path(__file__).resolve().parents[1] / "images" / "augmentations.png"


def calls(seed: int = 0) -> np.ndarray:
    """Three falling harmonic tones in low noise: (S,) float32."""
    time_s = np.arange(LENGTH) / RATE_HZ
    sound = 0.002 * np.random.default_rng(seed).standard_normal(LENGTH)
    for onset_s, hz in ((0.3, 700.0), (1.1, 900.0), (1.9, 600.0)):
        own_s = np.clip(time_s - onset_s, 0.0, 0.5)
        envelope = np.sin(np.pi * own_s / 0.5) ** 2
        phase = 2 * np.pi * hz * (own_s - 0.5 * own_s**2)
        sound += 0.2 * envelope * sum(np.sin(n * phase) / n for n in range(1, 9))
    return sound.astype(np.float32)


def clicks() -> np.ndarray:
    """A click every quarter second: (S,) float32."""
    time_s = np.arange(LENGTH) / RATE_HZ
    beats = np.exp(-60 * (time_s % 0.25)) * np.random.default_rng(1).standard_normal(LENGTH)
    return (0.2 * beats).astype(np.float32)


def images() -> dict[str, np.ndarray]:
    """Log-mels (F, T) in dB by their title."""
    logmel, sound = LogMel(LogMelParams()).build(), calls()
    plugins = {
        "gain: -12 dB": Gain(GainParams(-12, -12)),
        "time_roll": TimeRoll(TimeRollParams()),
        "noise: pink, 10 dB": Noise(NoiseParams("pink", "", 10, 10)),
        "speed: 1.3": Speed(SpeedParams(1.3, 1.3)),
        "random_equaliser: 3 bands, 24 dB": RandomEqualiser(EqualiserParams(max_db=24)),
    }
    features = {"the clip": logmel(paddle.to_tensor(sound[None]))}
    for title, plugin in plugins.items():
        augmented = plugin(sound, RATE_HZ, np.random.default_rng(3))
        features[title] = logmel(paddle.to_tensor(augmented[None]))
    clip, other = features["the clip"], logmel(paddle.to_tensor(clicks()[None]))
    augment_noise = paddle.to_tensor(np.random.default_rng(7).random((1, AUGMENT_NOISE_SIZE), dtype=np.float32))
    kept = spec_augment_mask(augment_noise, clip.shape[2], clip.shape[3])
    features["SpecAugment"] = clip * kept + clip.mean() * (1 - kept)
    pair, mix_weights = paddle.concat([clip, other]), paddle.to_tensor(np.array([0.6], np.float32))
    features["mixup of features: 0.6 of it, 0.4 of clicks"] = mixup(pair, paddle.to_tensor(np.array([1])), mix_weights)
    blend = (0.6 * sound + 0.4 * clicks()).astype(np.float32)
    features["mixup of waveforms: 0.6 and 0.4"] = logmel(paddle.to_tensor(blend[None]))
    return {title: image.numpy()[0, 0].T for title, image in features.items()}


def main() -> None:
    """Draw the figure."""
    figure, axes = plt.subplots(3, 3, figsize=(11, 6.5), sharex=True, sharey=True, layout="constrained")
    for axis, (title, image) in zip(axes.flat, images().items(), strict=True):
        drawn = axis.imshow(image, origin="lower", aspect="auto", vmin=-80, vmax=20, cmap="magma", extent=(0, 3, 0, 64))
        axis.set_title(title, fontsize=10)
    figure.supxlabel("time in s")
    figure.supylabel("mel band")
    figure.colorbar(drawn, ax=axes, label="dB")
    PICTURE.parent.mkdir(exist_ok=True)
    figure.set_dpi(80)
    figure.canvas.draw()
    picture = Image.fromarray(np.asarray(figure.canvas.buffer_rgba())).convert("RGB")
    picture.quantize(48, dither=Image.Dither.NONE).save(PICTURE, optimize=True)  # a quarter of the size


if __name__ == "__main__":
    main()
