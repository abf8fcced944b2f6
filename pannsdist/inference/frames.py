"""What a network that decides frame by frame answers about a sound of any length, as if it heard it in one piece."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from pannsdist.audio.stream import Window, stretches
from pannsdist.contracts import FrontEnd
from pannsdist.inference.detection import WindowScores
from pannsdist.runtime.errors import UserError

WINDOW_FRAMES = 4096
"""About 41 s of PANNs' frames of 10 ms: the fewer windows, the less is heard twice."""
MARGIN_FRAMES = 192
"""What of a window is left to its neighbour, at each side that has one.

A decision of PANNs' networks covers 32 frames and hears 160 more to either side: two convolutions of 3 after each of
five halvings, three segments in the last pooling, and half a Fourier window. Windows that begin at multiples of 32
frames and leave these margins out join to the very decisions of one pass over the whole sound.
"""


def frame_timeline(
    parts: Iterable[np.ndarray], front_end: FrontEnd, minimum_samples: int, ask: Callable[[np.ndarray], np.ndarray]
) -> Iterator[WindowScores]:
    """The probabilities (C,) of every frame of a sound, each from its hop to the next; the last ends with the sound.

    `ask` takes waveforms (B, S) at the front end's rate and gives (B, T, C). A sound shorter than `minimum_samples` is
    followed by silence, which gets no moment.
    """
    hop, rate_hz = front_end.hop_samples, front_end.sample_rate_hz
    before: tuple[Window, np.ndarray] | None = None
    done = 0
    for window in stretches(parts, WINDOW_FRAMES * hop, (WINDOW_FRAMES - 2 * MARGIN_FRAMES) * hop):
        heard = np.pad(window.waveform, (0, max(0, minimum_samples - len(window.waveform))))
        answers = _checked(ask(heard[None])[0], len(window.waveform), hop)
        if before is not None:
            seam = window.first // hop + MARGIN_FRAMES
            yield from _moments(*before, range(done, seam), hop, rate_hz)
            done = seam
        before = (window, answers)
    if before is not None:
        yield from _moments(*before, range(done, -(-before[0].end // hop)), hop, rate_hz)


def _moments(window: Window, answers: np.ndarray, frames: range, hop: int, rate_hz: int) -> Iterator[WindowScores]:
    for frame in frames:
        end = min((frame + 1) * hop, window.end)
        yield WindowScores(frame * hop / rate_hz, end / rate_hz, answers[frame - window.first // hop])


def _checked(answers: np.ndarray, samples: int, hop: int) -> np.ndarray:
    """Answers (T, C), of which there must be one for every hop that the sound has begun."""
    frames = -(-samples // hop)
    if len(answers) < frames:
        wrong = f"the network's framewise() gives {len(answers)} frames for {samples} samples"
        raise UserError(wrong, f"the front end has a hop of {hop} samples, which makes {frames}; give --window instead")
    return answers
