"""A stream has the events and scores of `detect`, however its sound is cut into pieces, in constant memory."""

import gc
import tracemalloc
from dataclasses import dataclass, replace

import numpy as np
import paddle
import pytest
import tiny_sounds
from small_parts import RATE_HZ
from test_networks_by_frame import make_model

from pannsdist.audio.reader import Recording
from pannsdist.inference import inference_model
from pannsdist.inference.decisions import Decisions
from pannsdist.inference.model import Model
from pannsdist.inference.options import InferenceOptions
from pannsdist.runtime.errors import BadClip, UserError

LABELS = ("a", "b", "c")
WINDOWS = InferenceOptions("dygraph", 0.2, 0.1)
FRAMES = InferenceOptions("dygraph")
SAME = 1e-5
LENGTHS_S = (0.01, 0.21, 3.0, 12.3, 21.7)
"""Shorter than a window; of one chunk; with an end that is less, and more, than half a chunk behind the last border."""


class ListeningLayer(tiny_sounds.FullLayer):
    """The levels of the noise of these tests are around 0 behind its batch norm, so that probabilities differ."""

    def __init__(self, bins, classes):
        tiny_sounds.FullLayer.__init__(self, bins, classes)
        self.norm._mean.set_value(paddle.full([bins], -25.0))
        self.norm._variance.set_value(paddle.full([bins], 200.0))


@dataclass(frozen=True)
class Kind:
    """A kind of model: windows or frames, one or several labels, and what decides."""

    options: InferenceOptions = WINDOWS
    multi_label: bool = True
    has_decisions: bool = False
    has_least_energy: bool = False

    def model(self):
        own = tiny_sounds.inference_model(ListeningLayer, multi_label=self.multi_label)
        return Model(own, options=self.options)

    def decided(self, plain, given, thresholds):
        """The model with thresholds and median filters of its classes, and a least energy that half of it reaches."""
        least = None
        if self.has_least_energy:
            found = Decisions(1.0, thresholds, 0.5, min_energy=0.0)
            own = Model(replace(plain.inference_model, decisions=found), options=self.options)
            least = own.predict(given.samples, given.rate_hz)[0].energy
        medians = (0.0, 0.05, 0.3)
        found = Decisions(1.0, thresholds, 0.5, least, frame_thresholds=thresholds, median_s=medians)
        return Model(replace(plain.inference_model, decisions=found), options=self.options)


def noise(duration_s, rate_hz, channels=1, seed=0):
    """Noise whose level and colour change all the time: (S, channels)."""
    rng = np.random.default_rng(seed)
    count = max(1, round(duration_s * rate_hz))
    part = round(0.13 * rate_hz)
    level = np.repeat(10 ** rng.uniform(-2.2, -0.7, 1 + count // part), part)[:count, None]
    plain = rng.normal(0, 1, (count, channels))
    slow = np.cumsum(plain, axis=0) % 1 - 0.5
    return (level * np.where(np.arange(count)[:, None] // (2 * part) % 2, plain, slow)).astype(np.float32)


def sound(duration_s, rate_hz, channels=1, seed=0):
    return Recording("a", noise(duration_s, rate_hz, channels, seed), rate_hz)


def pieces(samples, seed):
    """A random chunking, from single samples to seconds."""
    rng = np.random.default_rng(seed)
    at, most = 0, 10 ** rng.uniform(2.5, 5)
    while at < len(samples):
        size = int(rng.uniform(0, most)) if rng.uniform() < 0.9 else int(rng.integers(0, 3))
        yield samples[at : at + size]
        at += size


def scores_of(timeline):
    """Probabilities (T, C) and times (T, 2)."""
    found = list(timeline)
    return np.array([one.output for one in found]), np.array([(one.onset_s, one.offset_s) for one in found])


def between(values):
    """A threshold in the middle of values that no rounding moves to its other side."""
    ordered = np.unique(values)
    middle = ordered[len(ordered) // 4 : max(len(ordered) // 4 + 2, 3 * len(ordered) // 4)]
    if len(middle) < 2:
        return float(ordered[0]) / 2
    at = int(np.diff(middle).argmax())
    assert middle[at + 1] - middle[at] > 10 * SAME
    return float(middle[at] + middle[at + 1]) / 2


def assert_same(kind, plain, given, chunkings, **rule):
    """A stream of these samples against `detect`, for some chunkings; gives the number of events."""
    expected, times = scores_of(plain.timeline(given))
    thresholds = tuple(between(column) for column in expected.T)
    model = kind.decided(plain, given, thresholds) if kind.has_decisions else plain
    rule["threshold"] = None if kind.has_decisions else thresholds[0]
    (found,) = model.detect(given.samples, given.rate_hz, **rule)
    for seed in chunkings:
        stream = model.stream(given.rate_hz, channels=given.samples.shape[1], **rule)
        events, scores = [], []
        for part in pieces(given.samples, seed):
            events += stream.push(part)
            scores += stream.scores
        events += stream.finish()
        scores += stream.scores
        outputs, own_times = scores_of(scores)
        np.testing.assert_array_equal(own_times, times)
        np.testing.assert_allclose(outputs, expected, rtol=0, atol=SAME)
        ordered = sorted(events, key=lambda one: (one.onset_s, one.label))
        assert [span(one) for one in ordered] == [span(one) for one in found.events]
        assert all(abs(one.score - other.score) <= SAME for one, other in zip(ordered, found.events, strict=True))
    return len(found.events)


def span(event):
    return event.onset_s, event.offset_s, event.label


KINDS = {
    "windows": Kind(),
    "windows without overlap": Kind(InferenceOptions("dygraph", 0.2)),
    "windows, one label": Kind(multi_label=False),
    "frames": Kind(FRAMES),
    "frames, one label": Kind(FRAMES, multi_label=False),
    "windows with decisions": Kind(has_decisions=True),
    "frames with decisions": Kind(FRAMES, has_decisions=True),
    "none of these": Kind(multi_label=False, has_decisions=True, has_least_energy=True),
}


@pytest.fixture(scope="module", autouse=True)
def _frames_have_seams():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inference_model, "SEGMENT_WINDOW_FRAMES", 400)  # 6.4 s
        patch.setattr(inference_model, "SEGMENT_MARGIN_FRAMES", 32)
        yield


@pytest.fixture(scope="module")
def models():
    return {name: kind.model() for name, kind in KINDS.items()}


@pytest.mark.parametrize("rate_hz", [44100, 48000, 16000, 32000, 8000])
def test_a_hundred_random_chunkings_have_the_events_of_detect(models, rate_hz):
    """20 of each rate, over kinds of models, lengths and numbers of channels."""
    found = []
    for number, (name, kind) in enumerate(KINDS.items()):
        for length_s in LENGTHS_S[number % 2 :: 2]:
            given = sound(length_s, rate_hz, 1 + number % 3, seed=number)
            rule = {"min_gap_s": 0.04 * (number % 3), "min_duration_s": 0.03 * (number % 2)}
            found.append(assert_same(kind, models[name], given, [rate_hz + number], **rule))
    assert sum(found) > 100


@pytest.mark.long
@pytest.mark.parametrize("name", KINDS)
def test_a_hundred_chunkings_of_one_sound(models, name):
    assert assert_same(KINDS[name], models[name], sound(12.3, 44100, 2), range(100), min_gap_s=0.06) > 0


def test_frames_of_a_network_that_hears_its_whole_window_have_the_same_seams():
    model = Model(make_model("efficientat_mn01"), options=FRAMES)
    assert model.inference_model.frame_windows.is_whole
    assert assert_same(Kind(FRAMES), model, sound(7.3, 44100), [1, 2]) > 0


def second(level):
    return np.full(RATE_HZ, level, np.float32)


class LoudLayer(tiny_sounds.FullLayer):
    """The first class is loud, the second quiet, the third nothing."""

    def forward(self, image):
        level = image.max(axis=[1, 2, 3])
        return paddle.stack([level + 20, -20 - level, level * 0 - 20], axis=1)


def loud_model(window_s=1.0, hop_s=None):
    options = InferenceOptions("dygraph", window_s, hop_s)
    return Model(tiny_sounds.inference_model(LoudLayer, multi_label=True), options=options)


def decided_after(stream, blocks):
    """(seconds pushed, event) as each is decided, in pieces of 10 ms."""
    for block in blocks:
        for part in np.array_split(block, 100):
            yield from ((round(stream.duration_s, 2), span(event)) for event in stream.push(part))
    yield from (("end", span(event)) for event in stream.finish())


def burst(level=0.5):
    return np.random.default_rng(0).normal(0, level, RATE_HZ).astype(np.float32)


def test_an_event_is_decided_with_the_first_window_that_neither_has_nor_touches_it():
    blocks = [burst(), burst(), second(0), second(0), second(0), burst()]
    loud = [(3.0, (0.0, 2.0, "a")), (6.0, (2.0, 5.0, "b")), ("end", (5.0, 6.0, "a"))]
    assert list(decided_after(loud_model().stream(RATE_HZ, 0.5), blocks)) == loud
    early = list(decided_after(loud_model(1.0, 0.25).stream(RATE_HZ, 0.5), blocks))
    assert early[0] == (3.75, (0.0, 2.75, "a"))


def test_a_gap_that_later_windows_may_close_is_waited_for():
    blocks = [burst(), second(0), second(0), second(0), second(0), burst()]
    found = list(decided_after(loud_model().stream(RATE_HZ, 0.5, min_gap_s=2.5), blocks))
    assert found[0] == (5.0, (0.0, 1.0, "a"))  # that at 3 s may be followed by one at 3.5 s, the last
    found = list(decided_after(loud_model().stream(RATE_HZ, 0.5, min_gap_s=10), blocks))
    assert [one for one in found if one[1][2] == "a"] == [("end", (0.0, 6.0, "a"))]


def test_a_generator_gives_each_event_before_it_reads_on():
    read = []

    def microphone():
        for block in (burst(), second(0), burst(), second(0)):
            read.append(block)
            yield block

    events = loud_model().stream(RATE_HZ, 0.5).events(microphone())
    assert span(next(events)) == (0.0, 1.0, "a")
    assert len(read) == 2
    assert [span(one) for one in events] == [(1.0, 2.0, "b"), (2.0, 3.0, "a"), (3.0, 4.0, "b")]


def test_streams_of_one_model_know_nothing_of_each_other(models):
    parts = [list(pieces(noise(3.0, 16000, seed=seed), seed)) for seed in (1, 2)]
    alone = [list(models["windows"].stream(16000, 0.4).events(own)) for own in parts]
    streams, found = [models["windows"].stream(16000, 0.4) for _ in parts], ([], [])
    for number in range(max(map(len, parts))):
        for stream, own, events in zip(streams, parts, found, strict=True):
            events.extend(stream.push(own[number]) if number < len(own) else [])
    assert [events + stream.finish() for stream, events in zip(streams, found, strict=True)] == alone


def test_what_the_caller_does_with_its_buffer_afterwards_changes_nothing(models):
    given, buffer = noise(1.0, RATE_HZ), np.zeros((700, 1), np.float32)
    stream, found = models["windows"].stream(RATE_HZ, 0.4), []
    for at in range(0, len(given), 700):
        part = given[at : at + 700]
        buffer[: len(part)] = part
        found += stream.push(buffer[: len(part)])
        buffer[:] = 0
    expected = models["windows"].detect(given, RATE_HZ, threshold=0.4)[0].events
    assert sorted(map(span, found + stream.finish())) == sorted(map(span, expected))


@pytest.mark.parametrize("bad", [np.nan, np.inf, 3000.0])
def test_samples_that_no_file_may_have_are_refused_and_the_stream_goes_on_without_them(models, bad):
    given, stream = noise(1.0, RATE_HZ), models["windows"].stream(RATE_HZ, 0.4)
    found = stream.push(given[:4000])
    with pytest.raises(BadClip, match=r"clip 'stream' \(arriving\): .*after 0\.500 s"):
        stream.push(np.where(np.arange(500) == 99, bad, given[:500, 0]))
    found += stream.push(given[4000:]) + stream.finish()
    assert found == list(models["windows"].stream(RATE_HZ, 0.4).events([given[:4000], given[4000:]]))


@pytest.mark.parametrize(
    ("samples", "says"),
    [
        (np.zeros(9, np.int16), "the samples are of dtype int16"),
        ([0.0, 0.1], "the samples are a list"),
        (np.zeros((9, 2), np.float32), "have the shape (9, 2)\n  push (samples,) or (samples, 1)"),
        (np.zeros((9, 1, 1), np.float32), "have the shape (9, 1, 1)"),
    ],
)
def test_other_samples_are_refused(models, samples, says):
    with pytest.raises(UserError) as caught:
        models["windows"].stream(RATE_HZ).push(samples)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"rate_hz": 10}, "its sample rate is 10 Hz; allowed: 1000 to 768000 Hz"),
        ({"rate_hz": float("nan")}, "its sample rate is nan Hz"),
        ({"rate_hz": 8000, "channels": 0}, "channels is 0"),
        ({"rate_hz": 8000, "threshold": 0.0}, "the threshold is 0"),
        ({"rate_hz": 8000, "min_gap_s": -1.0}, "min_gap_s is -1"),
    ],
)
def test_a_stream_that_cannot_be_is_refused(models, options, says):
    with pytest.raises(UserError) as caught:
        models["windows"].stream(**options)
    assert says in str(caught.value)


def test_a_finished_stream_and_one_without_samples_are_refused(models):
    stream = models["windows"].stream(RATE_HZ)
    assert (stream.push(np.zeros(0, np.float32)), stream.scores) == ([], ())
    with pytest.raises(BadClip, match="it contains no samples"):
        stream.finish()
    stream.push(second(0.1))
    stream.finish()
    for call in (stream.finish, lambda: stream.push(second(0.1))):
        with pytest.raises(UserError, match="the stream is finished"):
            call()


def test_the_levels_are_remarked_on_as_those_of_a_file(models):
    stream = models["windows"].stream(44100, channels=2)
    given = np.stack([noise(1.0, 44100)[:, 0], np.zeros(44100)], axis=1)
    for part in pieces(given, 5):
        stream.push(part)
    assert stream.remarks == ("channel 2 of 2 is silent",)


def held_bytes():
    """What Python holds now; paddle.to_tensor of Paddle 3.3.1 keeps 52 bytes a call."""
    gc.collect()
    snapshot = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(False, "*/paddle/*")])
    return sum(one.size for one in snapshot.statistics("filename"))


@pytest.mark.parametrize("name", ["windows", "frames with decisions"])
def test_a_long_stream_takes_the_memory_of_a_short_one(models, name):
    """After half a minute, and after three minutes more."""
    given = noise(30.0, 16000)
    stream = KINDS[name].decided(models[name], sound(3.0, 16000), (0.4, 0.4, 0.4)).stream(16000)
    tracemalloc.start()
    held = []
    for _ in range(7):
        for at in range(0, len(given), 1600):
            stream.push(given[at : at + 1600])
        held.append(held_bytes())
    tracemalloc.stop()
    assert max(held) - held[0] < 300_000, held  # a window of frames has 200 kB; three minutes of sound have 5.8 MB
