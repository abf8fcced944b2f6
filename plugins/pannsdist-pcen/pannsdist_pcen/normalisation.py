"""Per-channel energy normalisation as a Paddle layer.

Source: Y. Wang, P. Getreuer, T. Hughes, R. F. Lyon, R. A. Saurous, "Trainable frontend for robust and far-field keyword
spotting", ICASSP 2017. Scale, magnitudes, first state and time constant are those of `librosa.pcen`.
"""

from __future__ import annotations

import math

import paddle
import paddle.nn.functional as F

from pannsdist.contracts import FrontEnd
from pannsdist.contracts.spectrum import BandImage, mel_bands
from pannsdist_pcen.params import PcenParams

FULL_SCALE = 2.0**31
FORGOTTEN = 2.0**-24
"""Weight below which a frame is ignored: half the float32 epsilon."""


def weight_of_a_frame(time_constant_frames: float) -> float:
    """The smoothing coefficient, the weight of a new frame, for a time constant, as in librosa."""
    return 2 / (1 + math.sqrt(1 + 4 * time_constant_frames**2))


def smoothed(energy: paddle.Tensor, weight: float) -> paddle.Tensor:
    """M[t] = (1 - weight) M[t - 1] + weight E[t] along T of (B, T, F), where M is 1 before the first frame.

    Computed without recursion over time: the weighted sum over 2 n frames is the sum over n frames plus (1 - weight)^n
    times the sum over the n frames before, so a few doublings cover all relevant frames. E is 1 before the first frame.
    Frames with a weight of 2^-24 or less are ignored, so the error of M is at most 2^-24 of the largest of them. The
    order of additions does not depend on the batch.
    """
    reach, kept = 1, 1.0 - weight
    while kept**reach > FORGOTTEN:
        reach *= 2
    total, frames = weight * F.pad(energy, [reach - 1, 0], value=1.0, data_format="NLC"), 1
    while frames < reach:
        total = total[:, frames:] + kept**frames * total[:, :-frames]
        frames *= 2
    return total


class NormalisedMel(BandImage):
    """(B, S) -> (B, 1, T, F), T = 1 + S // hop: PCEN of the magnitudes in Slaney mel bands, with a full scale of 2^31.

    Within 2e-4 of `librosa.pcen`, and within 0.02 between the partials of pure tones.
    """

    def __init__(self, front_end: FrontEnd, params: PcenParams) -> None:
        super().__init__(front_end, mel_bands(front_end, front_end.bins), magnitude=True)
        self._params = params
        self._weight = weight_of_a_frame(params.time_constant_s * front_end.sample_rate_hz / front_end.hop_samples)

    def image(self, magnitude: paddle.Tensor) -> paddle.Tensor:
        """Magnitude of each mel band (B, T, F) -> the same normalised."""
        params, energy = self._params, FULL_SCALE * magnitude
        loudness = params.eps + smoothed(energy, self._weight)
        normalised = energy * paddle.exp(-params.gain * paddle.log(loudness))
        return paddle.pow(normalised + params.bias, params.power) - params.bias**params.power
