"""The weights that the authors of PANNs published: Zenodo record 3987831, licence CC BY 4.0.

The scores are mean average precision on AudioSet's evaluation set, as the names of the files say and the authors'
results table has it (github.com/qiuqiangkong/audioset_tagging_cnn). The record publishes no SHA-256; where one stands
here, it comes from a system that checks it. All have 527 classes, in the order of AudioSet's `class_labels_indices`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from pannsdist.contracts import FrontEnd, Pretrained

RECORD = "https://zenodo.org/record/3987831"
LICENCE = "CC BY 4.0"
CLASSES = 527
AUDIOSET, AUDIOSET_16K, AUDIOSET_8K = "audioset", "audioset_16k", "audioset_8k"
"""Tags; the rates are those of front ends other than 32 kHz."""


@dataclass(frozen=True)
class Published:
    """One file of the record; `sha256` is empty and `size_bytes` 0 where they are not known."""

    file: str
    mean_average_precision: float
    sha256: str = ""
    size_bytes: int = 0
    licence: str = LICENCE

    @property
    def url(self) -> str:
        """The address of the file."""
        return f"{RECORD}/files/{quote(self.file)}?download=1"

    def pretrained(self, front_end: FrontEnd) -> Pretrained:
        """What a model plugin declares, given the front end that the weights were trained on."""
        source = f"Kong et al. 2020 (arXiv 1912.10211), Zenodo 3987831, mAP {self.mean_average_precision:.3f}"
        return Pretrained(self.url, self.sha256, front_end, CLASSES, self.licence, source, self.size_bytes)


DECISION_MAX = Published(
    "Cnn14_DecisionLevelMax_mAP=0.385.pth",
    0.385,
    "dd3b4043a87d4ec13df8082c0fcfee3fb5084151808e47e060987a95eabdd142",
    327_428_481,
)

PUBLISHED: Mapping[str, Mapping[str, Published]] = {
    "panns_cnn6": {AUDIOSET: Published("Cnn6_mAP=0.343.pth", 0.343)},
    "panns_cnn10": {AUDIOSET: Published("Cnn10_mAP=0.380.pth", 0.380)},
    "panns_cnn14": {
        AUDIOSET: Published("Cnn14_mAP=0.431.pth", 0.431),
        AUDIOSET_16K: Published("Cnn14_16k_mAP=0.438.pth", 0.438),
        AUDIOSET_8K: Published("Cnn14_8k_mAP=0.416.pth", 0.416),
    },
    "panns_cnn14_emb512": {AUDIOSET: Published("Cnn14_emb512_mAP=0.420.pth", 0.420)},
    "panns_cnn14_emb128": {AUDIOSET: Published("Cnn14_emb128_mAP=0.412.pth", 0.412)},
    "panns_cnn14_emb32": {AUDIOSET: Published("Cnn14_emb32_mAP=0.364.pth", 0.364)},
    "panns_cnn14_decision_max": {AUDIOSET: DECISION_MAX},
    "panns_cnn14_decision_att": {AUDIOSET: Published("Cnn14_DecisionLevelAtt_mAP=0.425.pth", 0.425)},
    "panns_resnet22": {AUDIOSET: Published("ResNet22_mAP=0.430.pth", 0.430)},
    "panns_resnet38": {AUDIOSET: Published("ResNet38_mAP=0.434.pth", 0.434)},
    "panns_resnet54": {AUDIOSET: Published("ResNet54_mAP=0.429.pth", 0.429)},
    "panns_mobilenet_v1": {AUDIOSET: Published("MobileNetV1_mAP=0.389.pth", 0.389)},
    "panns_mobilenet_v2": {AUDIOSET: Published("MobileNetV2_mAP=0.383.pth", 0.383)},
    "panns_wavegram_cnn14": {AUDIOSET: Published("Wavegram_Cnn14_mAP=0.389.pth", 0.389)},
    "panns_wavegram_logmel_cnn14": {AUDIOSET: Published("Wavegram_Logmel_Cnn14_mAP=0.439.pth", 0.439)},
    "panns_res1dnet31": {AUDIOSET: Published("Res1dNet31_mAP=0.365.pth", 0.365)},
    "panns_res1dnet51": {AUDIOSET: Published("Res1dNet51_mAP=0.355.pth", 0.355)},
    "panns_dainet19": {AUDIOSET: Published("DaiNet19_mAP=0.295.pth", 0.295)},
    "panns_leenet11": {AUDIOSET: Published("LeeNet11_mAP=0.266.pth", 0.266)},
    "panns_leenet24": {AUDIOSET: Published("LeeNet24_mAP=0.336.pth", 0.336)},
}


def pretrained(plugin: str, front_end: FrontEnd, tags: tuple[str, ...] = (AUDIOSET,)) -> dict[str, Pretrained]:
    """The published sets of a plugin, by tag, for those tags that have this front end."""
    return {tag: PUBLISHED[plugin][tag].pretrained(front_end) for tag in tags}
