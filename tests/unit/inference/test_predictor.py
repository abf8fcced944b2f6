"""What a trained model answers about sound files."""

import dataclasses
import threading
from dataclasses import replace

import numpy as np
import paddle
import pytest
import soundfile
import tiny_sounds
from small_parts import RATE_HZ
from tiny_bundle import LABELS, WINDOW, make_bundle

from pannsdist.inference.engines.selection import build_engine
from pannsdist.inference.predictor import Predictor
from pannsdist.inference.windowing import windowing
from pannsdist.runtime.errors import BadClip, UserError


@pytest.fixture
def bundle(tmp_path):
    return make_bundle(tmp_path)


def noise(samples, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, samples).astype(np.float32)


def write(path, samples):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, RATE_HZ, subtype="FLOAT")
    return path


def probabilities(bundle, waveform):
    logits = bundle.network(paddle.to_tensor(waveform[None])).numpy()[0].astype(np.float64)
    return np.exp(logits) / np.exp(logits).sum()


def side_by_side(waveform):
    starts = [*range(0, len(waveform) - WINDOW, WINDOW), len(waveform) - WINDOW]
    return [waveform[start : start + WINDOW] for start in starts]


def answer(bundle, path, samples, **how):
    (prediction,) = Predictor(bundle.inference_model, **how).predict([write(path, samples)])
    return np.array([dict(prediction.scores)[label] for label in LABELS])


@pytest.mark.parametrize("samples", [2 * WINDOW, 2 * WINDOW + 300, 40 * WINDOW])
def test_a_longer_file_gets_the_mean_of_its_windows(bundle, tmp_path, samples):
    waveform = noise(samples)
    expected = np.mean([probabilities(bundle, window) for window in side_by_side(waveform)], axis=0)
    np.testing.assert_allclose(answer(bundle, tmp_path / "a.wav", waveform), expected, atol=1e-6)


def test_a_shorter_file_is_followed_by_silence(bundle, tmp_path):
    padded = np.pad(noise(700), (0, WINDOW - 700))
    np.testing.assert_allclose(answer(bundle, tmp_path / "a.wav", noise(700)), probabilities(bundle, padded), atol=1e-6)


def test_a_shorter_file_is_padded_to_the_models_length_only(bundle, tmp_path):
    inference_model = replace(bundle.inference_model, pad_to_s=1000 / RATE_HZ)
    for samples, padded in ((700, 1000), (1200, 1200)):
        (prediction,) = Predictor(inference_model).predict([write(tmp_path / "a.wav", noise(samples))])
        expected = probabilities(bundle, np.pad(noise(samples), (0, padded - samples)))
        assert [dict(prediction.scores)[label] for label in LABELS] == pytest.approx(expected.tolist(), abs=1e-6)


def test_a_window_that_is_shorter_than_the_models_length_is_not_padded_beyond_itself():
    model = replace(tiny_sounds.inference_model(), pad_to_s=2.0, minimum_s=0.0)
    assert windowing(model, window_s=0.5).pad_to == windowing(model, window_s=0.5).window
    assert windowing(model, window_s=4.0).pad_to == round(2.0 * model.rate_hz)


def test_probabilities_of_one_label_sum_to_one_and_those_of_several_need_not(tmp_path):
    one = answer(make_bundle(tmp_path), tmp_path / "a.wav", noise(WINDOW))
    several = answer(make_bundle(tmp_path, multi_label=True), tmp_path / "a.wav", noise(WINDOW))
    assert one.sum() == pytest.approx(1.0, abs=1e-6)
    odds = several / (1 - several)
    np.testing.assert_allclose(odds / odds.sum(), one, atol=1e-5)


def test_overlapping_windows_are_all_averaged(bundle, tmp_path):
    path = write(tmp_path / "a.wav", noise(2 * WINDOW))
    window_s = WINDOW / RATE_HZ
    windows = list(Predictor(bundle.inference_model, hop_s=window_s / 2).timeline(path))
    assert [window.onset_s for window in windows] == pytest.approx([0.0, window_s / 2, window_s])
    assert [window.offset_s for window in windows] == pytest.approx([window_s, 1.5 * window_s, 2 * window_s])


@pytest.mark.parametrize(("window_s", "hop_s"), [(0.2, 0.3), (0.2, 0.0), (0.2, -1.0), (0.005, None), (-1.0, None)])
def test_windows_that_would_leave_gaps_or_are_too_short_are_refused(bundle, window_s, hop_s):
    with pytest.raises(UserError, match=r"the (hop|window) is "):
        Predictor(bundle.inference_model, window_s, hop_s)


def test_the_likeliest_label_comes_first(bundle, tmp_path):
    (answer,) = Predictor(bundle.inference_model).predict([write(tmp_path / "a.wav", noise(WINDOW))])
    values = [value for _, value in answer.scores]
    assert values == sorted(values, reverse=True)
    expected = dict(zip(LABELS, probabilities(bundle, noise(WINDOW)), strict=True))
    assert dict(answer.scores) == pytest.approx(expected, abs=1e-6)
    assert answer.error is None


def test_a_file_of_another_rate_is_resampled_to_the_models(bundle, tmp_path):
    time_s = np.arange(24000) / 48000
    soundfile.write(tmp_path / "a.wav", 0.3 * np.sin(2 * np.pi * 500 * time_s), 48000, subtype="FLOAT")
    tone = (0.3 * np.sin(2 * np.pi * 500 * np.arange(4000) / RATE_HZ)).astype(np.float32)
    (answer,) = Predictor(bundle.inference_model).predict([tmp_path / "a.wav"])
    expected = np.mean([probabilities(bundle, window) for window in side_by_side(tone)], axis=0)
    assert [dict(answer.scores)[label] for label in LABELS] == pytest.approx(expected.tolist(), abs=0.01)


def test_a_bad_file_gets_its_error_in_the_answers_place(bundle, tmp_path):
    (tmp_path / "b.wav").write_text("no sound", encoding="utf-8")
    good = write(tmp_path / "a.wav", noise(100))
    answers = list(Predictor(bundle.inference_model).predict([good, tmp_path / "b.wav", good]))
    assert [answer.error is None for answer in answers] == [True, False, True]
    assert str(tmp_path / "b.wav") in answers[1].error.wrong
    assert answers[1].scores == ()


@pytest.mark.parametrize("name", ["dygraph", "paddle", "onnx"])
def test_files_of_unequal_lengths_asked_for_together_get_what_each_gets_alone(tmp_path, name):
    tiny_sounds.skip_unless_installed(name)
    inference_model = tiny_sounds.inference_model()
    engine = build_engine(inference_model, name)
    lengths = [700, 1600, 701, 5000, 700, 1600, 900, 20000, 700] * 4
    paths = [write(tmp_path / f"{place}.wav", noise(samples, place)) for place, samples in enumerate(lengths)]
    (tmp_path / "3.wav").write_text("no sound", encoding="utf-8")
    together = list(Predictor(inference_model, engine=engine).predict(paths))
    assert [prediction.source for prediction in together] == paths
    for path, prediction in zip(paths, together, strict=True):
        (alone,) = Predictor(inference_model, engine=engine).predict([path])
        assert (prediction.error is None) == (path.name != "3.wav")
        assert dict(prediction.scores) == pytest.approx(dict(alone.scores), abs=1e-5)
    embeddings = list(Predictor(inference_model, engine=engine).embeddings(paths))
    assert isinstance(embeddings.pop(3).error, BadClip)
    del paths[3]
    for path, embedding in zip(paths, embeddings, strict=True):
        (alone,) = Predictor(inference_model, engine=engine).embeddings([path])
        np.testing.assert_allclose(embedding.vector, alone.vector, rtol=0, atol=1e-5)


class Counting:
    """An engine that keeps the size of every batch."""

    def __init__(self, inference_model):
        self.batches = []
        self._engine = build_engine(inference_model, "dygraph")

    def run(self, output, waveforms):
        self.batches.append(waveforms.shape)
        return self._engine.run(output, waveforms)


def test_windows_of_one_length_share_a_batch_whichever_file_they_come_from(tmp_path):
    inference_model = dataclasses.replace(tiny_sounds.inference_model(), pad_to_s=0.0)
    engine = Counting(inference_model)
    lengths = [1600, 700] * 8
    paths = [write(tmp_path / f"{place}.wav", noise(samples, place)) for place, samples in enumerate(lengths)]
    answers = Predictor(inference_model, engine=engine).predict(paths)
    next(answers)
    assert engine.batches == [(8, 1600)], "a file has its result before the last one is computed"
    list(answers)
    assert engine.batches == [(8, 1600), (8, 700)]


@pytest.mark.parametrize(
    ("batch_size", "batches"), [(None, [8] * 5), (1, [1] * 40), (16, [16, 16, 8]), (33, [33, 7]), (64, [40])]
)
def test_a_batch_has_as_many_windows_as_is_chosen_and_no_more_are_held(tmp_path, batch_size, batches):
    inference_model = tiny_sounds.inference_model()
    engine = Counting(inference_model)
    path = write(tmp_path / "a.wav", noise(40 * WINDOW))
    windows = Predictor(inference_model, engine=engine, batch_size=batch_size).timeline(path)
    next(windows)
    assert [count for count, _ in engine.batches] == batches[:1], "a window has its output before the last is read"
    list(windows)
    assert [count for count, _ in engine.batches] == batches


@pytest.mark.parametrize("name", ["dygraph", "paddle", ""])
def test_the_size_of_batches_changes_neither_results_nor_their_order(tmp_path, name):
    inference_model = dataclasses.replace(tiny_sounds.inference_model(), pad_to_s=0.0)
    engine = build_engine(inference_model, name)
    lengths = [700, 1600, 5000, 20000, 900] * 3
    paths = [write(tmp_path / f"{place}.wav", noise(samples, place)) for place, samples in enumerate(lengths)]
    (tmp_path / "3.wav").write_text("no sound", encoding="utf-8")
    expected = list(Predictor(inference_model, engine=engine, batch_size=1).predict(paths))
    for batch_size in (None, 3, 8, 64):
        found = list(Predictor(inference_model, engine=engine, batch_size=batch_size).predict(paths))
        assert [one.source for one in found] == paths
        assert [one.error is None for one in found] == [path.name != "3.wav" for path in paths]
        for one, other in zip(found, expected, strict=True):
            assert dict(one.scores) == pytest.approx(dict(other.scores), abs=1e-6)


def test_the_default_is_a_batch_of_eight_bit_for_bit(bundle, tmp_path):
    paths = [write(tmp_path / f"{place}.wav", noise(WINDOW * place, place)) for place in range(1, 7)]
    engine = build_engine(bundle.inference_model, "dygraph")
    default, eight = (
        list(Predictor(bundle.inference_model, engine=engine, batch_size=size).predict(paths)) for size in (None, 8)
    )
    assert default == eight


@pytest.mark.parametrize("batch_size", [0, -1, 1025])
def test_a_batch_out_of_range_is_refused(bundle, batch_size):
    with pytest.raises(UserError, match=rf"the batch size is {batch_size}\n  allowed: 1 to 1024 windows"):
        Predictor(bundle.inference_model, batch_size=batch_size)


def test_a_file_that_breaks_off_gets_its_error_and_its_neighbours_their_answers(bundle, tmp_path):
    good, bad = write(tmp_path / "a.wav", noise(WINDOW)), noise(12 * RATE_HZ)
    bad[11 * RATE_HZ] = np.nan
    paths = [good, write(tmp_path / "b.wav", bad), good]
    first, second, third = Predictor(bundle.inference_model).predict(paths)
    assert dict(first.scores) == pytest.approx(dict(third.scores), abs=1e-6)
    assert "NaN" in second.error.wrong


def test_the_shortest_window_and_hops_up_to_it_are_accepted(bundle):
    shortest = bundle.minimum_s
    Predictor(bundle.inference_model, shortest, shortest)
    with pytest.raises(UserError, match="the network needs at least"):
        Predictor(bundle.inference_model, np.nextafter(shortest, 0))
    for hop_s in (0.0, np.nextafter(shortest, 1)):
        with pytest.raises(UserError, match="allowed: above 0, up to the window"):
            Predictor(bundle.inference_model, shortest, hop_s)


class _Undecided:
    def run(self, _, waveforms):
        return np.full((len(waveforms), len(LABELS)), 0.5, np.float32)


def test_labels_of_one_probability_are_in_the_order_of_the_model(bundle, tmp_path):
    path = write(tmp_path / "a.wav", noise(WINDOW))
    (prediction,) = Predictor(bundle.inference_model, engine=_Undecided()).predict([path])
    assert [label for label, _ in prediction.scores] == list(LABELS)


class _Failing:
    def run(self, *_):
        raise RuntimeError("the forward pass failed")


def test_a_network_that_fails_ends_the_reading_while_its_exception_is_kept(bundle, tmp_path):
    """A notebook keeps the exception, and with it the iterators."""
    path = write(tmp_path / "a.wav", noise(60 * WINDOW))
    before = threading.active_count()
    predictions = Predictor(bundle.inference_model, engine=_Failing()).predict([path] * 9)
    with pytest.raises(RuntimeError, match="forward") as kept:
        next(predictions)
    assert kept.value.__traceback__ is not None
    assert threading.active_count() == before


def test_predictions_that_are_given_up_half_way_end_the_reading(bundle, tmp_path):
    path = write(tmp_path / "a.wav", noise(60 * WINDOW))
    before = threading.active_count()
    predictions = Predictor(bundle.inference_model).predict([path] * 9)
    next(predictions)
    del predictions
    assert threading.active_count() == before
