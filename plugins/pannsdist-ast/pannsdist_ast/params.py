"""The params and sizes of the AST networks."""

from __future__ import annotations

from dataclasses import dataclass

from pannsdist.contracts import param
from pannsdist.contracts.param_checks import check_params

PATCH = 16
"""Size of a patch in frames and bins."""
PUBLISHED_FRAMES = 1024
DEPTH = 12


@dataclass(frozen=True)
class AstParams:
    """Settings of the networks."""

    fstride: int = param(10, "stride of patches (16 bins) along frequency", low=1, high=PATCH)
    tstride: int = param(10, "stride of patches (16 frames) along time", low=1, high=PATCH)
    frames: int = param(
        PUBLISHED_FRAMES,
        "frames covered by position embeddings, which are cut or interpolated for other lengths",
        low=16,
    )
    padded_frames: int = param(0, "minimum frames, to which shorter clips are padded; 0: no padding", low=0)

    def __post_init__(self) -> None:
        rules = (
            ("fstride", 1 <= self.fstride <= PATCH, f"1 to {PATCH}"),
            ("tstride", 1 <= self.tstride <= PATCH, f"1 to {PATCH}"),
            ("frames", self.frames >= PATCH, f"{PATCH} or more"),
            ("padded_frames", self.padded_frames >= 0, "0 or more"),
        )
        check_params("model.params", self, rules)


@dataclass(frozen=True)
class BaseParams(AstParams):
    """Settings of `ast_base`: its weights were trained and evaluated on clips padded to 1024 frames."""

    padded_frames: int = param(PUBLISHED_FRAMES, AstParams.__dataclass_fields__["padded_frames"].metadata["doc"], low=0)


@dataclass(frozen=True)
class Size:
    """Size of a network: embedding width, attention heads, and blocks."""

    width: int
    heads: int
    depth: int = DEPTH
