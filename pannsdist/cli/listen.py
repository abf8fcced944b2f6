"""`pannsdist listen`: sound events of a microphone, of a pipe or of a file, as soon as they are decided."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from pannsdist.cli.arguments import add_device, from_one
from pannsdist.cli.model_arguments import RAW, add_engine, add_model, add_rule, add_windows, load, sound_sources
from pannsdist.runtime import console, signals
from pannsdist.runtime.errors import UserError
from pannsdist.runtime.names import shown

if TYPE_CHECKING:
    import numpy as np

    from pannsdist.audio.microphone import Microphone
    from pannsdist.audio.reader import AudioInput
    from pannsdist.inference.detection import WindowScores
    from pannsdist.inference.streaming import Stream

SAMPLE_FORMATS = ("f32le", "s16le")
PIECE_S = 1.0
"""Of a file, so much is computed between two looks at the signals."""


def add(commands: Any) -> None:
    """Add the subcommand to the parser."""
    listening = commands.add_parser("listen", help="detect sound events while the sound arrives")
    listening.add_argument(
        "file", nargs="?", metavar="FILE", help="a sound file, as if it arrived (default: microphone)"
    )
    add_model(listening)
    listening.add_argument("--microphone", default="", metavar="N|NAME", help="number, or a part of the name")
    listening.add_argument("--list-microphones", action="store_true", help="list the microphones, and end")
    listening.add_argument("--stdin", action="store_true", help="samples on standard input, without a header")
    listening.add_argument("--rate", type=float, metavar="HZ", help="of --stdin; of the microphone (default: its own)")
    listening.add_argument("--channels", type=from_one, metavar="C", help="of --stdin or the microphone (default: 1)")
    listening.add_argument(
        "--sample-format", choices=SAMPLE_FORMATS, help="of --stdin: 32-bit floats (default) or 16-bit integers"
    )
    add_rule(listening)
    add_windows(listening, "frame-level output if the network has it, else 1")
    listening.add_argument("--scores", action="store_true", help="print the most probable labels of each window, too")
    listening.add_argument("--topk", type=from_one, default=5, help="labels of --scores (default: 5)")
    listening.add_argument("--raw", action="store_true", help=RAW)
    add_engine(listening)
    add_device(listening)
    batches = "windows per forward pass, at most, of those that arrived (default: by the table, 8)"
    listening.add_argument("--batch-size", type=from_one, metavar="N", help=batches)
    listening.set_defaults(run=listen)


def listen(chosen: argparse.Namespace) -> None:
    """Print each event as a line of JSON once it is decided; Ctrl-C and SIGTERM end the sound."""
    if chosen.list_microphones:
        _list_microphones()
        return
    _check(chosen)
    source = _source(chosen)
    model = load(chosen)
    rule = (chosen.threshold, chosen.min_duration, chosen.min_gap)
    with signals.stop_within_call() as is_stopped, source(is_stopped) as (rate_hz, channels, pieces):
        stream = model.stream(rate_hz, *rule, channels=channels)
        labels, topk = model.labels, chosen.topk if chosen.scores else 0
        for samples in pieces:
            _print(stream, stream.push(samples), labels, topk)
        if is_stopped() and not stream.duration_s:
            return
        _print(stream, stream.finish(), labels, topk)
    if stream.remarks:
        console.note_main(f"{stream.duration_s:.1f} s were heard: {'; '.join(stream.remarks)}")


def _print(stream: Stream, events: Iterable[Any], labels: Sequence[str], topk: int) -> None:
    """The windows that were computed last, if any of their labels are wanted, and then the events."""
    for window in stream.scores if topk else ():
        scores = _highest(window, labels, topk)
        _print_line({"onset_s": window.onset_s, "offset_s": window.offset_s, "scores": scores})
    for event in events:
        _print_line(vars(event))


def _highest(window: WindowScores, labels: Sequence[str], topk: int) -> dict[str, float]:
    order = (-window.output).argsort(kind="stable")[:topk]
    return {labels[index]: float(window.output[index]) for index in order}


def _print_line(record: dict[str, Any]) -> None:
    print(json.dumps(record, ensure_ascii=False), flush=True)


def _check(chosen: argparse.Namespace) -> None:
    """Raise UserError for options that do not go together, before the model is loaded."""
    from pannsdist.inference.detection import Rule

    Rule(0.3 if chosen.threshold is None else chosen.threshold, chosen.min_duration, chosen.min_gap)
    sources = {"FILE": chosen.file, "--stdin": chosen.stdin, "--microphone": chosen.microphone}
    if len(given := [name for name, value in sources.items() if value]) > 1:
        raise UserError(f"{' and '.join(given)} are given", "choose one of them; without any it is the microphone")
    if chosen.file == "-":
        raise UserError("- is no file to listen to", "samples are piped in with --stdin --rate HZ")
    of_raw = {"--rate": chosen.rate, "--channels": chosen.channels, "--sample-format": chosen.sample_format}
    allowed = {"FILE": (), "--stdin": tuple(of_raw)}.get(given[0] if given else "", ("--rate", "--channels"))
    if wrong := [name for name, value in of_raw.items() if value is not None and name not in allowed]:
        raise UserError(
            f"{' and '.join(wrong)} do not belong to {given[0] if given else 'the microphone'}", "leave it out"
        )
    if chosen.stdin and chosen.rate is None:
        raise UserError("--stdin needs the sample rate of what is piped in", "give it in Hz, such as --rate 44100")
    if chosen.stdin and sys.stdin is not None and sys.stdin.isatty():
        right = (
            "pipe samples into it: ffmpeg -i INPUT -f f32le -ac 1 -ar 32000 - | pannsdist listen --stdin --rate 32000"
        )
        raise UserError("standard input is a terminal", right)


Input = tuple[float, int, Iterable["np.ndarray"]]
"""Rate in Hz, channels, and blocks (frames, channels)."""
Source = Callable[[Callable[[], bool]], AbstractContextManager[Input]]
"""Opens what is listened to; its blocks end once the function that it gets says so."""


def _source(chosen: argparse.Namespace) -> Source:
    """What is listened to. Raises UserError for what is not there, before a model is loaded."""
    channels = chosen.channels or 1
    if chosen.stdin:
        return partial(_piped, chosen.rate, channels, chosen.sample_format or SAMPLE_FORMATS[0])
    if chosen.file is not None:
        found = sound_sources([chosen.file])
        if len(found) != 1:
            raise UserError(f"{chosen.file} has {len(found)} sounds", "listen to one file at a time")
        return partial(_file, found[0])
    from pannsdist.audio.microphone import find_microphone

    find_microphone(chosen.microphone)
    return partial(_microphone, chosen.microphone, chosen.rate, channels)


@contextmanager
def _piped(rate_hz: float, channels: int, sample_format: str, is_stopped: Callable[[], bool]) -> Iterator[Input]:
    from pannsdist.audio.raw_samples import RawSamples

    samples = RawSamples(0, sample_format, channels, is_stopped)
    yield rate_hz, channels, samples
    if samples.left_over and not is_stopped():
        left = f"standard input ended within a sample: {samples.left_over} bytes are left over"
        print(f"warning: {left}; are --sample-format and --channels right?", file=sys.stderr, flush=True)


@contextmanager
def _file(name: AudioInput, is_stopped: Callable[[], bool]) -> Iterator[Input]:
    from pannsdist.audio.reader import input_name, missing_part, open_source

    with open_source(name, input_name(name)) as source:
        frames, rate_hz = source.verdict.frames, source.verdict.rate_hz
        piece = max(1, round(PIECE_S * rate_hz))
        spans = ((at, min(frames, at + piece)) for at in range(0, frames, piece))
        channels = next(source.blocks(0, 1)).shape[1]
        yield rate_hz, channels, (part for span in spans if not is_stopped() for part in source.blocks(*span))
    if incomplete := missing_part(name):
        print(f"warning: {shown(name)}: {incomplete}", file=sys.stderr, flush=True)


@contextmanager
def _microphone(name: str, rate_hz: float | None, channels: int, is_stopped: Callable[[], bool]) -> Iterator[Input]:
    from pannsdist.audio.microphone import LISTED, opened

    with opened(name, rate_hz, channels, is_stopped) as microphone:
        yield microphone.rate_hz, channels, _heard(microphone)
        if microphone.has_ended and not is_stopped():
            raise UserError(f"the microphone {microphone.name} gives no more sound", "connect it again", LISTED)


def _heard(microphone: Microphone) -> Iterator[np.ndarray]:
    """The blocks of a microphone; what is lost is said each time that it becomes more."""
    name = f"{microphone.name}, {microphone.rate_hz:g} Hz, channels: {microphone.channels}"
    print(f"listening: {name}; Ctrl-C ends", file=sys.stderr, flush=True)
    said = (0, 0)
    for block in microphone:
        yield block
        if (lost := (microphone.overflows, int(microphone.lost_s))) > said:
            said = lost
            print(f"warning: {microphone.loss}", file=sys.stderr, flush=True)


def _list_microphones() -> None:
    from pannsdist.audio.microphone import microphones

    found = microphones()
    for number, name, channels, rate_hz in found:
        print(f"{number}  {name}  {channels} channels, {rate_hz:g} Hz")
    if not found:
        raise UserError("no microphone was found", "connect one, or pipe samples into the command: --stdin")
