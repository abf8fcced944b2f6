"""The feature `mfcc` for pannsdist. Importing this module does not import paddle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pannsdist.contracts import UserError
from pannsdist_mfcc.params import MfccParams

if TYPE_CHECKING:
    import paddle

__all__ = ["Mfcc", "MfccParams"]


class Mfcc:
    """Mel-frequency cepstral coefficients, as in librosa."""

    contract = 1
    Params = MfccParams

    def __init__(self, params: MfccParams) -> None:
        self.params = params
        if params.coefficients > params.mel_bins:
            wrong = f"feature.params.coefficients is {params.coefficients}, more than mel_bins"
            raise UserError(wrong, f"allowed: 1 to {params.mel_bins}")
        self.front_end = params.front_end(
            "mfcc",
            params.coefficients,
            dct="orthonormal, type 2",
            mel=params.mel,
            mel_bins=params.mel_bins,
            power_floor=1e-10,
            range_db=params.range_db,
        )

    def build(self) -> paddle.nn.Layer:
        """A layer (B, S) -> (B, 1, T, F)."""
        from pannsdist_mfcc.cepstrum import Cepstrum

        return Cepstrum(self.front_end, self.params)
