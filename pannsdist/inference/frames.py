"""Framewise probabilities of a sound of any length, equal to those of one pass over the whole sound."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from pannsdist.audio.windows import Window, aligned_windows
from pannsdist.contracts import FrontEnd
from pannsdist.inference.detection import WindowScores
from pannsdist.runtime.errors import UserError

WINDOW_FRAMES = 4096
"""About 41 s of PANNs' frames of 10 ms: longer windows compute less twice."""
MARGIN_FRAMES = 192
"""Frames at each inner edge of a window that are taken from its neighbour instead.

An output frame of PANNs' networks covers 32 frames, and its receptive field reaches 160 more to either side: two
convolutions of 3 after each of five poolings by 2, three segments in the last pooling, and half a Fourier window.
Windows that start at multiples of 32 frames and drop these margins give exactly the output of one pass.
"""


def frame_scores(
    blocks: Iterable[np.ndarray], front_end: FrontEnd, pad_to_samples: int, run: Callable[[np.ndarray], np.ndarray]
) -> Iterator[WindowScores]:
    """The probabilities (C,) of each frame of a sound, which lasts one hop; the last one ends where the sound ends.

    `run` computes (B, T, C) from waveforms (B, S) at the front end's rate. A sound shorter than `pad_to_samples` (41 s
    at most) is padded with silence, whose frames are left out.
    """
    hop, rate_hz = front_end.hop_samples, front_end.sample_rate_hz
    previous: tuple[Window, np.ndarray] | None = None
    done = 0
    for window in aligned_windows(blocks, WINDOW_FRAMES * hop, (WINDOW_FRAMES - 2 * MARGIN_FRAMES) * hop):
        missing = min(pad_to_samples, WINDOW_FRAMES * hop) - len(window.waveform) if window.first == 0 else 0
        padded = np.pad(window.waveform, (0, max(0, missing)))
        outputs = _checked(run(padded[None])[0], len(window.waveform), hop)
        if previous is not None:
            seam = window.first // hop + MARGIN_FRAMES
            yield from _window_scores(*previous, range(done, seam), hop, rate_hz)
            done = seam
        previous = (window, outputs)
    if previous is not None:
        yield from _window_scores(*previous, range(done, -(-previous[0].end // hop)), hop, rate_hz)


def _window_scores(
    window: Window, outputs: np.ndarray, frames: range, hop: int, rate_hz: int
) -> Iterator[WindowScores]:
    for frame in frames:
        end = min((frame + 1) * hop, window.end)
        yield WindowScores(frame * hop / rate_hz, end / rate_hz, outputs[frame - window.first // hop])


def _checked(outputs: np.ndarray, samples: int, hop: int) -> np.ndarray:
    """Outputs (T, C), at least one for each hop that starts within the sound. Raises UserError."""
    frames = -(-samples // hop)
    if len(outputs) < frames:
        wrong = f"the network's framewise() gives {len(outputs)} frames for {samples} samples"
        raise UserError(wrong, f"the front end has a hop of {hop} samples, which makes {frames}; give --window instead")
    return outputs
