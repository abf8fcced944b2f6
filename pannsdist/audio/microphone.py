"""The microphone, through PortAudio."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from pannsdist.runtime.errors import UserError

QUEUE_S = 30.0
"""So much sound is kept while the network is busy; Paddle's engine compiles for some seconds."""
STOP_POLL_S = 0.1
LISTED = "pannsdist listen --list-microphones"


def _sounddevice() -> Any:
    """The module. Raises UserError where it or PortAudio is not installed."""
    try:
        import sounddevice
    except ModuleNotFoundError as error:
        right = "or pipe samples into it: --stdin"
        raise UserError("the microphone needs sounddevice", right, "pip install 'pannsdist[listen]'") from error
    except OSError as error:
        right = "on Debian and Ubuntu it is in a package; or pipe samples into the command: --stdin"
        raise UserError(f"the microphone needs PortAudio: {error}", right, "apt-get install libportaudio2") from error
    return sounddevice


def microphones() -> list[tuple[int, str, int, float]]:
    """(number, name, most channels, its own rate in Hz) of each microphone. Raises UserError without PortAudio."""
    devices = enumerate(_sounddevice().query_devices())
    return [
        (number, str(one["name"]), int(one["max_input_channels"]), float(one["default_samplerate"]))
        for number, one in devices
        if one["max_input_channels"] > 0
    ]


class Microphone:
    """Blocks (frames, channels) float32 of an open microphone, until `is_stopped`, which is asked all the time.

    They also end where PortAudio gets no more of the device, as when it is unplugged: then it `has_ended`. `lost_s` is
    what did not fit into the queue, and `overflows` how often PortAudio itself lost something.
    """

    def __init__(self, name: str, rate_hz: float, channels: int, is_stopped: Callable[[], bool]) -> None:
        self.name, self.rate_hz, self.channels = name, rate_hz, channels
        self.lost_s, self.overflows, self.has_ended = 0.0, 0, False
        self._is_stopped = is_stopped
        self._queue: queue.SimpleQueue[np.ndarray] = queue.SimpleQueue()

    @property
    def loss(self) -> str:
        """What was lost until now, for a message."""
        return (
            f"{self.lost_s:.1f} s of sound did not fit into the queue of {QUEUE_S:g} s, and PortAudio lost some of it "
            f"{self.overflows} times; times of events count what was heard: choose a longer --hop or another --engine"
        )

    def take(self, block: np.ndarray, frames: int, _time: object, status: Any) -> None:
        """What PortAudio calls, in its own thread."""
        self.overflows += bool(status.input_overflow)
        if self._queue.qsize() * frames > QUEUE_S * self.rate_hz:
            self.lost_s += frames / self.rate_hz
        else:
            self._queue.put(block.copy())

    def end(self) -> None:
        """What PortAudio calls in its thread when that ends."""
        self.has_ended = True

    def __iter__(self) -> Iterator[np.ndarray]:
        while not self._is_stopped():
            had_ended = self.has_ended
            try:
                yield self._queue.get(timeout=STOP_POLL_S)
            except queue.Empty:
                if had_ended:
                    return


def find_microphone(device: str) -> Any:
    """What PortAudio says of a microphone: its number or a part of its name; empty: that of the system.

    Raises UserError where there is none.
    """
    sounddevice = _sounddevice()
    try:
        return sounddevice.query_devices(_chosen(device), "input")
    except (sounddevice.PortAudioError, ValueError) as error:
        raise _refused(device, error) from error


@contextmanager
def opened(device: str, rate_hz: float | None, channels: int, is_stopped: Callable[[], bool]) -> Iterator[Microphone]:
    """A microphone, see `find_microphone`, at its own rate unless one is given.

    Raises UserError where there is none, and for what it does not support.
    """
    sounddevice, found = _sounddevice(), find_microphone(device)
    made = Microphone(str(found["name"]), rate_hz or float(found["default_samplerate"]), channels, is_stopped)
    how = {"device": _chosen(device), "samplerate": made.rate_hz, "channels": channels, "dtype": "float32"}
    try:
        stream = sounddevice.InputStream(**how, callback=made.take, finished_callback=made.end)
    except (sounddevice.PortAudioError, ValueError) as error:
        raise _refused(device, error) from error
    with stream:
        yield made


def _chosen(device: str) -> int | str | None:
    return int(device) if device.isdecimal() else device or None


def _refused(device: str, why: Exception) -> UserError:
    if not microphones():
        return UserError("no microphone was found", "connect one, or pipe samples into the command: --stdin")
    what = f"the microphone '{device}'" if device else "the microphone"
    return UserError(f"{what} cannot be opened: {why}", "choose another, or another --rate or --channels", LISTED)
