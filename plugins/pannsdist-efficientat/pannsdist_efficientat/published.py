"""The published EfficientAT weights: release v0.0.1, MIT licence, 527 AudioSet classes each.

Scores are mean average precision on AudioSet's evaluation list, from the file names. The release has no checksums;
those given here come from other systems that verify them, and sizes from the release listing. All networks are
pretrained on ImageNet unless stated otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pannsdist.contracts import FrontEnd, Pretrained

RELEASE = "https://github.com/fschmid56/EfficientAT/releases/download/v0.0.1"
LICENCE = "MIT"
CLASSES = 527


@dataclass(frozen=True)
class File:
    """One file of the release; `size_bytes` is 0 and `sha256` empty if unknown."""

    name: str
    size_bytes: int = 0
    sha256: str = ""
    note: str = ""

    @property
    def tag(self) -> str:
        """The file name without the network, and without parentheses, which are special in a shell."""
        tag = self.name.partition("_")[2].removesuffix(".pt")
        return tag.replace("(", "_").replace(")", "")

    @property
    def mean_average_precision(self) -> float:
        """The score from the file name, which gives it in thousandths."""
        return int(self.name.partition("mAP_")[2][:3]) / 1000

    def pretrained(self, front_end: FrontEnd) -> Pretrained:
        """The declaration for a model plugin, with the front end of the weights."""
        score = f"mAP {self.mean_average_precision:.3f}" + (f", {self.note}" if self.note else "")
        source = f"Schmid et al. 2023 (arXiv 2211.04772), EfficientAT v0.0.1, {score}"
        url = f"{RELEASE}/{self.name}"
        return Pretrained(url, self.sha256, front_end, CLASSES, LICENCE, source, self.size_bytes)


MN04_SHA256 = "899a8c6217063f6941793102a2780b3dd788ab11fce468d9cf5f0577c453321c"
MN10_SHA256 = "0bd7dc2443af498c289a2e739f02ebb515d6aa3fd3ab9db539c86123ae368a4e"
NO_IMAGES = "not pretrained on ImageNet"
LONGER = "trained for 300 epochs"

PUBLISHED: Mapping[str, tuple[File, ...]] = {
    "Mn01": (File("mn01_as_mAP_298.pt", 612_421),),
    "Mn02": (File("mn02_as_mAP_378.pt", 1_432_101),),
    "Mn04": (File("mn04_as_mAP_432.pt", 4_066_513, MN04_SHA256),),
    "Mn05": (File("mn05_as_mAP_443.pt", 5_878_097),),
    "Mn10": (File("mn10_as_mAP_471.pt", 19_708_753, MN10_SHA256),),
    "Mn20": (File("mn20_as_mAP_478.pt", 71_938_961),),
    "Mn30": (File("mn30_as_mAP_482.pt", 156_742_353),),
    "Mn40": (
        File("mn40_as_mAP_484.pt"),
        File("mn40_as_mAP_483.pt"),
        File("mn40_as_mAP_483(2).pt"),
        File("mn40_as_no_im_pre_mAP_483.pt", note=NO_IMAGES),
        File("mn40_as_no_im_pre_mAP_483(2).pt", note=NO_IMAGES),
        File("mn40_as_no_im_pre_mAP_482.pt", note=NO_IMAGES),
        File("mn40_as_ext_mAP_487.pt", 274_206_417, note=LONGER),
        File("mn40_as_ext_mAP_486.pt", note=LONGER),
        File("mn40_as_ext_mAP_485.pt", note=LONGER),
    ),
    "Mn10Hop5": (File("mn10_as_hop_5_mAP_475.pt"),),
    "Mn10Hop15": (File("mn10_as_hop_15_mAP_463.pt"),),
    "Mn10Hop20": (File("mn10_as_hop_20_mAP_456.pt"),),
    "Mn10Hop25": (File("mn10_as_hop_25_mAP_447.pt"),),
    "Mn10Mels40": (File("mn10_as_mels_40_mAP_453.pt", 19_696_465),),
    "Mn10Mels64": (File("mn10_as_mels_64_mAP_461.pt"),),
    "Mn10Mels256": (File("mn10_as_mels_256_mAP_474.pt"),),
    "Mn10Fc": (File("mn10_as_fc_mAP_465.pt"),),
    "Mn10FcS2221": (File("mn10_as_fc_s2221_mAP_466.pt"),),
    "Mn10FcS2211": (File("mn10_as_fc_s2211_mAP_466.pt"),),
}
"""Files by class name of the network; the first is the default."""


def published_weights(network: str, front_end: FrontEnd) -> dict[str, Pretrained]:
    """The published weights of a network by tag."""
    return {file.tag: file.pretrained(front_end) for file in PUBLISHED.get(network, ())}
