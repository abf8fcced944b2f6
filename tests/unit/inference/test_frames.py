"""Framewise outputs of a long sound are those of one pass over it."""

from itertools import pairwise

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest
import small_parts
import tiny_sounds
from tiny_sounds import FullLayer

from pannsdist.audio.reader import Recording
from pannsdist.builtin.logmel import LogMel, LogMelParams
from pannsdist.builtin.panns import Cnn14DecisionLevelMax
from pannsdist.contracts.network import Network
from pannsdist.inference import inference_model as inference_model_module
from pannsdist.inference.engines.dygraph import Dygraph
from pannsdist.inference.frame_windows import FrameWindows
from pannsdist.inference.frames import FrameScorer, frame_scores, padded_first
from pannsdist.inference.inference_model import InferenceModel
from pannsdist.inference.model import Model
from pannsdist.inference.options import InferenceOptions
from pannsdist.inference.predictor import Predictor
from pannsdist.runtime.errors import UserError

LABELS = ("a", "b", "c")
RATE_HZ, HOP = 32000, 320
SEAM_TOLERANCE = 1e-5


def make_model(plugin_class, multi_label=True):
    paddle.seed(0)
    plugin = plugin_class(plugin_class.Params())
    feature = LogMel(LogMelParams())
    layer = plugin.build(LABELS, feature.front_end)
    layer.fc1.weight.set_value(layer.fc1.weight * 20)  # random weights hardly tell one frame from another
    minimum_s = plugin.minimum_samples(feature.front_end) / RATE_HZ
    network = Network(feature.build(), layer)
    network.eval()
    return InferenceModel(network, feature.front_end, LABELS, multi_label, 10.0, minimum_s, minimum_s)


@pytest.fixture(scope="module")
def strongest():
    return make_model(Cnn14DecisionLevelMax)


def bursts(duration_s, seed=0):
    """Noise whose level and colour change all the time."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, 1, round(duration_s * RATE_HZ))
    level = np.repeat(10 ** rng.uniform(-4, -0.5, 1 + len(noise) // 8000), 8000)[: len(noise)]
    slow = np.convolve(noise, np.ones(20) / 20, mode="same")
    mixed = np.where(np.arange(len(noise)) // 12000 % 2, noise, 4 * slow)
    return (level * mixed).astype(np.float32)


def framewise(inference_model, waveform):
    """(T, C) in one pass, as the layer gives it."""
    with paddle.no_grad():
        features = inference_model.network.feature(paddle.to_tensor(waveform[None]))
        return inference_model.network.model.framewise(features).numpy()[0]


def predicted(inference_model, waveform):
    predictor = Predictor(inference_model, engine=Dygraph(inference_model))
    scores = list(predictor.frames(Recording("a", waveform, RATE_HZ)))
    return scores, np.stack([frame.output for frame in scores])


@pytest.mark.parametrize("samples", [3 * RATE_HZ, 2 * RATE_HZ + 17, 2 * RATE_HZ - HOP + 1])
def test_each_frame_lasts_from_its_hop_to_the_next_and_the_last_ends_with_the_sound(strongest, samples):
    waveform = bursts(4.0)[:samples]
    scores, outputs = predicted(strongest, waveform)
    count = -(-samples // HOP)
    np.testing.assert_array_equal(outputs, framewise(strongest, waveform)[:count])
    assert [frame.onset_s for frame in scores] == [frame * HOP / RATE_HZ for frame in range(count)]
    assert [frame.offset_s for frame in scores[:-1]] == [frame.onset_s for frame in scores[1:]]
    assert scores[-1].offset_s == samples / RATE_HZ


def test_a_long_sound_has_no_seam(strongest, monkeypatch):
    waveform = bursts(11.0)
    whole = framewise(strongest, waveform)[:1100]
    monkeypatch.setattr(inference_model_module, "SEGMENT_WINDOW_FRAMES", 640)
    scores, joined = predicted(strongest, waveform)
    assert [frame.onset_s for frame in scores] == [frame * HOP / RATE_HZ for frame in range(1100)]
    assert np.abs(joined - whole).max() < SEAM_TOLERANCE
    assert whole.std(axis=0).min() > 1000 * SEAM_TOLERANCE
    monkeypatch.setattr(inference_model_module, "SEGMENT_MARGIN_FRAMES", 0)
    _, without = predicted(strongest, waveform)
    assert np.abs(without - whole).max() > 1000 * SEAM_TOLERANCE


def test_a_sound_shorter_than_the_networks_input_gets_its_own_frames_alone(strongest):
    waveform = bursts(1.0)[:5000]
    scores, outputs = predicted(strongest, waveform)
    assert (len(scores), scores[-1].offset_s) == (16, 5000 / RATE_HZ)
    padded = np.pad(waveform, (0, round(strongest.minimum_s * RATE_HZ) - 5000))
    np.testing.assert_array_equal(outputs, framewise(strongest, padded)[:16])


def test_frames_of_one_label_each_are_the_softmax_of_the_segments(strongest):
    one = make_model(Cnn14DecisionLevelMax, multi_label=False)
    waveform = bursts(2.0)
    _, probabilities = predicted(one, waveform)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, atol=1e-5)
    sides = framewise(strongest, waveform)[:200].astype(np.float64)
    logits = np.log(sides) - np.log1p(-sides)
    np.testing.assert_allclose(probabilities, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), atol=1e-4)


def test_events_follow_the_frames_unless_a_window_or_a_hop_is_given(strongest):
    sound = Recording("a", bursts(3.0), RATE_HZ)
    lengths = {(None, None): HOP / RATE_HZ, (0.5, None): 0.5, (None, 0.25): 1.0, (0.5, 0.25): 0.5}
    for (window_s, hop_s), expected in lengths.items():
        first = next(Model(strongest, options=InferenceOptions(window_s=window_s, hop_s=hop_s)).timeline(sound))
        assert first.offset_s - first.onset_s == pytest.approx(expected), (window_s, hop_s)


def cut(windows, samples):
    """The windows of a sound that comes in blocks of an odd length."""
    sound = np.arange(samples, dtype=np.float32)
    return list(windows.cut(sound[first : first + 777] for first in range(0, samples, 777)))


def test_a_network_that_gives_too_few_frames_is_refused():
    windows = FrameWindows(HOP, 640, 0)
    with pytest.raises(UserError, match=r"gives 50 frames for 32000 samples\n  a frame of 320 samples makes it 100"):
        list(frame_scores(iter(cut(windows, 32000)), windows, RATE_HZ, lambda _: np.zeros((1, 50, 3))))


def test_only_a_sound_that_is_itself_shorter_than_the_padding_is_padded():
    """And not the remainder of a longer one: the network would meet silence that is not there."""
    windows = FrameWindows(HOP, 640, 192)
    for count, expected in ((700, [640, 700 - (640 - 2 * 192)]), (300, [640])):
        found = padded_first(iter(cut(windows, count * HOP)), 640 * HOP)
        assert [len(window.waveform) / HOP for window in found] == expected


@pytest.mark.parametrize("samples", [1, 99, 400, 401, 1000, 1001, 1399, 12345])
def test_windows_of_one_length_start_with_frames_and_their_seams_leave_margins(samples):
    windows = FrameWindows(10, 40, 5, is_whole=True)
    found = cut(windows, samples)
    for window in found:
        assert window.first % 10 == 0
        np.testing.assert_array_equal(window.waveform, np.arange(window.first, window.end))
        assert samples <= 400 or 390 < len(window.waveform) <= 400
    assert (found[0].first, found[-1].end) == (0, samples)
    for earlier, later in pairwise(found):
        seam = windows.seam(earlier, later)
        assert later.first // 10 + 5 <= seam <= earlier.end // 10 - 5


@pytest.mark.parametrize("is_whole", [False, True])
@pytest.mark.parametrize("samples", [1, 399, 400, 401, 699, 1000, 1001, 12345])
def test_each_frame_is_that_of_the_seams_and_comes_out_once_no_later_window_can_change_it(samples, is_whole):
    windows, numbers = FrameWindows(10, 40, 5, is_whole), iter(range(1000))

    def run(waveforms):
        """Each frame tells the number of its window."""
        return np.array([np.full((-(-waveforms.shape[1] // 10), 1), next(numbers)) for _ in waveforms])

    every = cut(windows, samples)
    seams = [0, *(windows.seam(earlier, later) for earlier, later in pairwise(every)), -(-samples // 10)]
    scorer, found = FrameScorer(windows, 1000, run), []
    for window in every:
        found += [int(frame.output[0]) for frame in scorer.add([window])]
        if window is not every[-1]:
            assert len(found) == windows.settled(window) >= (window.first + window.end) // 20
    found += [int(frame.output[0]) for frame in scorer.rest()]
    assert found == [number for number, (first, end) in enumerate(pairwise(seams)) for _ in range(first, end)]


class RelativeLayer(FullLayer):
    """Each frame is compared with the mean over all of them, so that padding changes it."""

    def framewise(self, image):
        frames = FullLayer.framewise(self, image)
        return F.sigmoid(20 * (frames - frames.mean(axis=1, keepdim=True)))


@pytest.mark.parametrize("samples", [1, 300, 1599, 1600, 2000])
def test_the_frames_of_a_sound_shorter_than_the_crop_are_those_of_the_padded_sound(samples):
    inference_model = tiny_sounds.inference_model(RelativeLayer, multi_label=True)
    sound = tiny_sounds.noise(1, samples)[0]
    found = list(Predictor(inference_model).frames(Recording("a", sound, small_parts.RATE_HZ)))
    expected = framewise(inference_model, np.pad(sound, (0, max(0, 1600 - samples))))[: -(-samples // 128)]
    np.testing.assert_allclose([frame.output for frame in found], expected, rtol=0, atol=1e-6)
    assert found[-1].offset_s == samples / small_parts.RATE_HZ
