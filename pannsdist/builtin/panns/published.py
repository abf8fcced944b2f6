"""Pretrained weights of the PANNs authors (Zenodo record 3987831, CC BY 4.0), and PaddlePaddle's conversions.

Scores are mean average precision on AudioSet's evaluation set, from the file names and the authors' results table
(github.com/qiuqiangkong/audioset_tagging_cnn). The record publishes no SHA-256; those given here come from a system
that verifies them. All have 527 classes, in the order of AudioSet's `class_labels_indices`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from pannsdist.contracts import FrontEnd, Pretrained

RECORD = "https://zenodo.org/record/3987831"
LICENCE = "CC BY 4.0"
CLASSES = 527
TAG = "audioset"
PADDLE_TAG = "paddle"
PADDLE_FILES = "https://bj.bcebos.com/paddleaudio/models"


@dataclass(frozen=True)
class Published:
    """One file of the record; `sha256` is empty and `size_bytes` 0 if unknown."""

    file: str
    mean_average_precision: float
    sha256: str = ""
    size_bytes: int = 0
    licence: str = LICENCE

    @property
    def url(self) -> str:
        """URL of the file."""
        return f"{RECORD}/files/{quote(self.file)}?download=1"

    def pretrained(self, front_end: FrontEnd) -> Pretrained:
        """The `Pretrained` record, given the front end of the training."""
        source = f"Kong et al. 2020 (arXiv 1912.10211), Zenodo 3987831, mAP {self.mean_average_precision:.3f}"
        return Pretrained(self.url, self.sha256, front_end, CLASSES, self.licence, source, self.size_bytes)


DECISION_MAX = Published(
    "Cnn14_DecisionLevelMax_mAP=0.385.pth",
    0.385,
    "dd3b4043a87d4ec13df8082c0fcfee3fb5084151808e47e060987a95eabdd142",
    327_428_481,
)

PUBLISHED: Mapping[str, Published] = {
    "Cnn14DecisionLevelMax": DECISION_MAX,
    "Cnn6": Published("Cnn6_mAP=0.343.pth", 0.343),
    "Cnn10": Published("Cnn10_mAP=0.380.pth", 0.380),
    "Cnn14": Published("Cnn14_mAP=0.431.pth", 0.431),
    "Cnn14At16k": Published("Cnn14_16k_mAP=0.438.pth", 0.438),
    "Cnn14At8k": Published("Cnn14_8k_mAP=0.416.pth", 0.416),
    "Cnn14Emb512": Published("Cnn14_emb512_mAP=0.420.pth", 0.420),
    "Cnn14Emb128": Published("Cnn14_emb128_mAP=0.412.pth", 0.412),
    "Cnn14Emb32": Published("Cnn14_emb32_mAP=0.364.pth", 0.364),
    "Cnn14DecisionLevelAtt": Published("Cnn14_DecisionLevelAtt_mAP=0.425.pth", 0.425),
    "ResNet22": Published("ResNet22_mAP=0.430.pth", 0.430),
    "ResNet38": Published("ResNet38_mAP=0.434.pth", 0.434),
    "ResNet54": Published("ResNet54_mAP=0.429.pth", 0.429),
    "MobileNetV1": Published("MobileNetV1_mAP=0.389.pth", 0.389),
    "MobileNetV2": Published("MobileNetV2_mAP=0.383.pth", 0.383),
    "WavegramCnn14": Published("Wavegram_Cnn14_mAP=0.389.pth", 0.389),
    "WavegramLogmelCnn14": Published("Wavegram_Logmel_Cnn14_mAP=0.439.pth", 0.439),
    "Res1dNet31": Published("Res1dNet31_mAP=0.365.pth", 0.365),
    "Res1dNet51": Published("Res1dNet51_mAP=0.355.pth", 0.355),
    "DaiNet19": Published("DaiNet19_mAP=0.295.pth", 0.295),
    "LeeNet11": Published("LeeNet11_mAP=0.266.pth", 0.266),
    "LeeNet24": Published("LeeNet24_mAP=0.336.pth", 0.336),
}
"""Files by class name of the network."""

PADDLE: Mapping[str, str] = {
    "Cnn6": "panns_cnn6.pdparams",
    "Cnn10": "panns_cnn10.pdparams",
    "Cnn14": "panns_cnn14.pdparams",
}
"""PaddlePaddle's conversions, as used by PaddleSpeech; no size or checksum is published."""


def published_weights(network: str, front_end: FrontEnd) -> dict[str, Pretrained]:
    """Pretrained weights of a network by tag, the authors' first."""
    if network not in PUBLISHED:
        return {}
    found = {TAG: PUBLISHED[network].pretrained(front_end)}
    if network in PADDLE:
        url = f"{PADDLE_FILES}/{PADDLE[network]}"
        source = f"PaddlePaddle's conversion of {PUBLISHED[network].file}, as in PaddleSpeech"
        found[PADDLE_TAG] = Pretrained(url, "", front_end, CLASSES, LICENCE, source)
    return found
