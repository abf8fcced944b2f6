"""EfficientAT for pannsdist: the networks `efficientat_mn01` to `efficientat_mn40` and the feature `efficientat_mel`.

Importing this module does not import paddle. Facts from F. Schmid, K. Koutini, G. Widmer, "Efficient Large-Scale Audio
Tagging via Transformer-to-CNN Knowledge Distillation", ICASSP 2023, and its release v0.0.1 (MIT licence).
"""

from pannsdist_efficientat.feature import EfficientAtMel
from pannsdist_efficientat.models import (
    FullyConvolutional,
    Mn01,
    Mn02,
    Mn04,
    Mn05,
    Mn10,
    Mn10Fc,
    Mn10FcS2211,
    Mn10FcS2221,
    Mn10Hop5,
    Mn10Hop15,
    Mn10Hop20,
    Mn10Hop25,
    Mn10Mels40,
    Mn10Mels64,
    Mn10Mels256,
    Mn20,
    Mn30,
    Mn40,
    MobileNet,
    ModelParams,
)
from pannsdist_efficientat.params import MelParams

__all__ = [
    "EfficientAtMel",
    "FullyConvolutional",
    "MelParams",
    "Mn01",
    "Mn02",
    "Mn04",
    "Mn05",
    "Mn10",
    "Mn10Fc",
    "Mn10FcS2211",
    "Mn10FcS2221",
    "Mn10Hop5",
    "Mn10Hop15",
    "Mn10Hop20",
    "Mn10Hop25",
    "Mn10Mels40",
    "Mn10Mels64",
    "Mn10Mels256",
    "Mn20",
    "Mn30",
    "Mn40",
    "MobileNet",
    "ModelParams",
]
