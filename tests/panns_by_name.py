"""Networks of PANNs by their published names, as setup.cfg offers them, and something for them to hear."""

import configparser
from pathlib import Path

import numpy as np
import paddle

from pannsdist.builtin import panns
from pannsdist.builtin.logmel import LogMel
from pannsdist.builtin.waveform import Waveform

FEATURES = {"logmel": LogMel, "waveform": Waveform}
SIZES = {
    "Cnn6": (4_837_455, 28, 512),
    "Cnn10": (5_219_279, 48, 512),
    "Cnn14": (80_753_615, 68, 2048),
    "Cnn14_16k": (80_753_615, 68, 2048),
    "Cnn14_8k": (80_753_615, 68, 2048),
    "Cnn14_mel32": (80_753_551, 68, 2048),
    "Cnn14_mel128": (80_753_743, 68, 2048),
    "Cnn14_emb512": (76_796_879, 68, 512),
    "Cnn14_emb128": (75_807_695, 68, 128),
    "Cnn14_emb32": (75_560_399, 68, 32),
    "ResNet22": (63_675_087, 123, 2048),
    "ResNet38": (73_783_247, 203, 2048),
    "ResNet54": (104_318_159, 288, 2048),
    "MobileNetV1": (4_796_303, 143, 1024),
    "MobileNetV2": (4_075_343, 268, 1024),
    "Wavegram_Cnn14": (80_991_759, 113, 2048),
    "Wavegram_Logmel_Cnn14": (81_065_487, 113, 2048),
    "Wavegram_Logmel128_Cnn14": (81_262_735, 113, 2048),
    "Res1dNet31": (80_464_463, 179, 2048),
    "Res1dNet51": (106_538_063, 279, 2048),
    "DaiNet19": (4_385_807, 109, 512),
    "LeeNet11": (748_367, 49, 512),
    "LeeNet24": (10_003_791, 94, 1024),
    "Cnn14_DecisionLevelMax": (80_753_615, 68, 2048),
    "Cnn14_DecisionLevelAvg": (80_753_615, 68, 2048),
    "Cnn14_DecisionLevelAtt": (81_834_492, 74, 2048),
}
"""Of the 527 classes of AudioSet: parameters that are learned, tensors of Paddle's state, size of the embedding."""


def entry_points():
    config = configparser.ConfigParser()
    config.read(Path(__file__).resolve().parents[1] / "setup.cfg", encoding="utf-8")
    lines = config["options.entry_points"]["pannsdist.models"].split("\n")
    return dict(line.split(" = ") for line in lines if line)


def plugin(name, **params):
    module, _, attribute = entry_points()[name].partition(":")
    assert module == panns.__name__
    made = getattr(panns, attribute)
    return made(made.Params(**params))


def feature_of(model):
    made = FEATURES[model.feature]
    return made(made.Params(**model.feature_params))


def sound(samples, clips=1, seed=0):
    return paddle.to_tensor(np.random.default_rng(seed).normal(0, 0.1, (clips, samples)).astype(np.float32))
