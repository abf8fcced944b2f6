"""Kaldi's log mel filter bank for pannsdist: the feature `kaldi_fbank`.

Importing this module does not import paddle. Facts from D. Povey et al., "The Kaldi Speech Recognition Toolkit", ASRU
2011, and from the outputs of kaldi-native-fbank.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pannsdist.contracts.spectrum_params import front_end_of
from pannsdist_kaldi_fbank.params import KIND, FbankParams

if TYPE_CHECKING:
    import paddle

__all__ = ["KIND", "FbankParams", "KaldiFbank"]


class KaldiFbank:
    """Log mel filter bank as in Kaldi, without dither."""

    Params = FbankParams

    def __init__(self, params: FbankParams) -> None:
        self.params = params
        self.front_end = front_end_of(
            params,
            KIND,
            (params.low_hz, params.high_hz),
            params.mel_bins,
            preemphasis=params.preemphasis,
            remove_dc=params.remove_dc,
            sample_scale=params.sample_scale,
            scale=params.scale,
            shift=params.shift,
            snip_edges=params.snip_edges,
            window=params.window,
        )

    def build(self) -> paddle.nn.Layer:
        """(B, S) -> (B, 1, T, F) float32."""
        from pannsdist_kaldi_fbank.fbank import Fbank

        return Fbank(self.front_end, self.params)
