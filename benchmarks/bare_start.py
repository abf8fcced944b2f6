"""The references of `start.py`: what Paddle alone takes for the import, the weights, the network and a forward pass.

    python benchmarks/bare_start.py import|weights|network|forward|prepare MODEL

Files are in the working folder; `prepare` writes them. All but `forward` end with the note that a first batch leaves.
"""

from __future__ import annotations

import sys
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

from first_batch import end

MODELS = {
    "efficientat_mn04": ("pannsdist_efficientat.models:Mn04", "pannsdist_efficientat.feature:EfficientAtMel"),
    "panns_cnn14": ("pannsdist.builtin.panns:Cnn14", "pannsdist.builtin.logmel:LogMel"),
    "panns_cnn6": ("pannsdist.builtin.panns:Cnn6", "pannsdist.builtin.logmel:LogMel"),
}
"""The classes of each model and of its feature."""
WEIGHTS, CLIPS, CLIP = "weights.pdparams", "clips", "clips/hum/00.wav"
RATE_HZ, CLIP_S, CLIPS_PER_CLASS, CLASSES = 32_000, 5, 20, 527


def main() -> None:
    """Do one of the steps above, and all that it needs."""
    step, model = sys.argv[1:]
    warnings.simplefilter("ignore")
    import paddle

    if step == "import":
        end()
    if step == "prepare":
        prepare(model)
        return
    state = paddle.load(WEIGHTS)
    if step == "weights":
        end()
    network = built(model)
    network.set_state_dict(state)
    if step == "network":
        end()
    forward(model, network)


def forward(model: str, network: Any) -> None:
    """Print the most probable classes of one clip."""
    import paddle
    import soundfile

    waveform, _ = soundfile.read(CLIP, dtype="float32")
    feature = loaded(MODELS[model][1])
    network.eval()
    with paddle.no_grad():
        features = feature(feature.Params()).build()(paddle.to_tensor(waveform[None]))
        print(paddle.topk(paddle.nn.functional.sigmoid(network(features)), 10))


def built(model: str) -> Any:
    """The network of a model for AudioSet's classes."""
    plugin = loaded(MODELS[model][0])
    return plugin(plugin.Params()).build(range(CLASSES), plugin.front_end)


def loaded(target: str) -> Any:
    """The object `module:name`."""
    module, name = target.split(":")
    return getattr(import_module(module), name)


def prepare(model: str) -> None:
    """Write random weights and clips of noise in two classes."""
    import numpy as np
    import paddle
    import soundfile

    paddle.seed(0)
    paddle.save(built(model).state_dict(), WEIGHTS)
    random = np.random.default_rng(0)
    for label in ("hum", "hiss"):
        folder = Path(CLIPS) / label
        folder.mkdir(parents=True)
        for number in range(CLIPS_PER_CLASS):
            soundfile.write(folder / f"{number:02d}.wav", random.normal(0, 0.1, CLIP_S * RATE_HZ), RATE_HZ)


if __name__ == "__main__":
    main()
