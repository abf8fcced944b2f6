"""The frames of a window as one graph: probabilities, and what the decisions of the model are on them."""

from __future__ import annotations

import paddle
from paddle import nn

from pannsdist.contracts.event_decoding import median_frames
from pannsdist.contracts.network import Network
from pannsdist.inference.decisions import Decisions
from pannsdist.inference.engines.output_layer import FRAMEWISE, OutputLayer


class FrameLayer(nn.Layer):
    """(B, S) waveform at the front end's rate -> (B, T, C): the probabilities of the frames of a window.

    With `decisions` they are calibrated; where those are fitted on frames, (B, T, C) bool follows: the frames in which
    each class is active, after its median filter, with the ends of the window mirrored as those of a clip are.
    """

    def __init__(self, network: Network, frame_s: float, decisions: Decisions | None = None) -> None:
        super().__init__()
        temperature = 1.0 if decisions is None else decisions.temperature
        self.probabilities = OutputLayer(network, FRAMEWISE, True, temperature)
        self.thresholds = () if decisions is None else decisions.frame_thresholds
        lengths = median_frames(() if decisions is None else decisions.median_s, frame_s)
        self.reach = [length // 2 for length in lengths.tolist()]

    @property
    def network(self) -> Network:
        """The network of the window."""
        network: Network = self.probabilities.network
        return network

    def forward(self, waveform: paddle.Tensor) -> paddle.Tensor | tuple[paddle.Tensor, paddle.Tensor]:
        """See the class."""
        probabilities = self.probabilities(waveform)
        if not self.thresholds:
            return probabilities
        return probabilities, self._active(probabilities)

    def _active(self, probabilities: paddle.Tensor) -> paddle.Tensor:
        """A median reaches a threshold where most of its frames do: they are counted, and nothing is sorted."""
        reached = probabilities >= paddle.to_tensor(self.thresholds, dtype="float32")
        reach, classes = max(self.reach), len(self.reach)
        if reach == 0:
            return reached
        frames = paddle.shape(probabilities)[1].astype("int64")
        places = paddle.arange(frames, dtype="int64").unsqueeze(1) + paddle.arange(2 * reach + 1, dtype="int64")
        places += (2 * reach * frames) - reach  # a multiple of the period of the mirrored frames: not negative
        places -= (places // (2 * frames)) * (2 * frames)
        places = paddle.minimum(places, 2 * frames - 1 - places)
        around = paddle.gather(reached.astype("float32"), places.flatten(), axis=1)
        around = around.reshape([-1, frames, 2 * reach + 1, classes])
        inside = [[float(abs(place - reach) <= own) for own in self.reach] for place in range(2 * reach + 1)]
        votes = (around * paddle.to_tensor(inside, dtype="float32")).sum(axis=2)
        return votes >= paddle.to_tensor([own + 0.5 for own in self.reach], dtype="float32")
