"""A model asked from Python: files, folders and arrays, what comes back, and what is refused."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import paddle
import pytest
import soundfile
from small_parts import RATE_HZ, SmallModel, install, write_small_bundle

import pannsdist
from pannsdist.inference.detection import Event
from pannsdist.inference.model import load_model
from pannsdist.runtime.errors import BadBundle, BadClip, UnknownPlugin, UserError

LABELS = ("high", "low", "neither")
CROP = 1600
PROJECT = Path(__file__).resolve().parents[3]


@pytest.fixture
def network(tmp_path, monkeypatch):
    """The network of the model folder `best_model`, whose plugin is installed."""
    install(tmp_path / "site", "small-parts", "[pannsdist.models]\nsmall = small_parts:SmallModel\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return write_small_bundle(tmp_path / "best_model", LABELS, crop_s=CROP / RATE_HZ)


@pytest.fixture
def folder(network, tmp_path):  # noqa: ARG001 - it lies there
    return tmp_path / "best_model"


@pytest.fixture
def model(folder):
    return load_model(folder)


def noise(samples=CROP, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, samples).astype(np.float32)


def write(path, samples):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, RATE_HZ, subtype="FLOAT")
    return path


def probabilities(network, waveform):
    logits = network(paddle.to_tensor(waveform[None])).numpy()[0].astype(np.float64)
    return dict(zip(LABELS, np.exp(logits) / np.exp(logits).sum(), strict=True))


def test_a_model_says_what_it_is(model):
    assert model.labels == LABELS
    assert model.sample_rate_hz == RATE_HZ
    assert model.multi_label is False
    assert model.front_end == SmallModel.front_end
    assert (model.record.model.name, model.record.crop_s) == ("small", CROP / RATE_HZ)


def test_a_model_is_shown_with_what_it_was_loaded_from(model, folder):
    said = f"small, {folder}: 3 classes (high, low, neither), one label a sound, 8000 Hz, windows of 0.2 s"
    assert repr(model) == f"<pannsdist.Model {said}>"
    assert "windows of 0.5 s" in repr(load_model(folder, window_s=0.5))


def test_every_label_gets_its_probability_the_likeliest_first(network, model, tmp_path):
    path = write(tmp_path / "a.wav", noise())
    (answer,) = model.predict(path)
    assert (answer.sound, answer.error) == (str(path), None)
    assert answer.scores == pytest.approx(probabilities(network, noise()), abs=1e-6)
    assert list(answer.scores.values()) == sorted(answer.scores.values(), reverse=True)
    (first,) = model.predict(path, topk=2)
    assert list(first.scores.items()) == list(answer.scores.items())[:2]


@pytest.mark.parametrize("samples", [700, CROP, 5 * CROP + 300])
def test_an_array_is_heard_as_the_file_of_it(model, tmp_path, samples):
    path = write(tmp_path / "a.wav", noise(samples))
    of_file, of_array, of_stereo = (
        *model.predict(path),
        *model.predict([noise(samples), np.stack([noise(samples)] * 2, axis=1)], RATE_HZ),
    )
    assert of_array.scores == pytest.approx(of_file.scores, abs=1e-6)
    assert of_stereo.scores == pytest.approx(of_file.scores, abs=1e-6)


def test_an_array_of_another_rate_is_brought_to_the_models(model):
    def tone(rate_hz):
        return (0.3 * np.sin(2 * np.pi * 500 * np.arange(rate_hz // 2) / rate_hz)).astype(np.float32)

    own, other = (model.predict(tone(rate_hz), rate_hz)[0].scores for rate_hz in (RATE_HZ, 44100))
    assert other == pytest.approx(own, abs=0.01)


def test_answers_keep_the_order_of_files_folders_and_arrays(model, tmp_path):
    for seed, name in enumerate(("inner/b.wav", "inner/a.wav", "c.wav")):
        write(tmp_path / name, noise(seed=seed))
    answers = model.predict([tmp_path / "c.wav", noise(seed=2), tmp_path / "inner"], RATE_HZ)
    names = [str(tmp_path / "c.wav"), "sounds[1]", str(tmp_path / "inner/a.wav"), str(tmp_path / "inner/b.wav")]
    assert [answer.sound for answer in answers] == names
    assert answers[0].scores == pytest.approx(answers[1].scores, abs=1e-6)
    assert answers[2].scores != answers[3].scores
    assert model.predict([]) == model.tag([]) == model.detect([]) == []


def test_tags_are_the_labels_from_a_threshold_on(model):
    (answer,) = model.predict(noise(), RATE_HZ)
    values = list(answer.scores.values())
    least = (values[0] + values[1]) / 2
    (tags,) = model.tag(noise(), RATE_HZ, threshold=least)
    assert tags.scores == dict(list(answer.scores.items())[:1])
    (none,) = model.tag(noise(), RATE_HZ, threshold=(values[0] + 1) / 2)
    assert none.scores == {}


def test_moments_are_windows_of_a_second_or_of_the_models_own_where_they_are_shorter(network, model, tmp_path):
    halves = np.concatenate([noise(CROP), np.zeros(CROP, np.float32)])
    moments = list(model.timeline(write(tmp_path / "a.wav", halves)))
    assert [(moment.onset_s, moment.offset_s) for moment in moments] == [(0.0, 0.2), (0.2, 0.4)]
    for moment, half in zip(moments, np.split(halves, 2), strict=True):
        np.testing.assert_allclose(moment.output, list(probabilities(network, half).values()), atol=1e-6)
    write_small_bundle(tmp_path / "longer", LABELS, crop_s=3.0)
    moments = list(load_model(tmp_path / "longer").timeline(write(tmp_path / "b.wav", noise(3 * RATE_HZ))))
    assert [(moment.onset_s, moment.offset_s) for moment in moments] == [(0, 1), (1, 2), (2, 3)]


def test_short_events_are_dropped_and_short_gaps_closed(network, folder):
    model = load_model(folder, window_s=CROP / RATE_HZ)
    parts = [noise(), np.zeros(CROP, np.float32), noise()]
    loud, silent = (probabilities(network, part) for part in parts[:2])
    label = max(LABELS, key=lambda name: loud[name] - silent[name])
    least = (loud[label] + silent[label]) / 2

    def spans(**rule):
        (detection,) = model.detect(np.concatenate(parts), RATE_HZ, threshold=least, **rule)
        return [(event.onset_s, event.offset_s) for event in detection.events if event.label == label]

    assert spans() == [(0.0, 0.2), (0.4, pytest.approx(0.6))]
    assert spans(min_duration_s=0.3) == []
    assert spans(min_gap_s=0.3) == [(0.0, pytest.approx(0.6))]


def test_an_event_tells_its_span_label_and_score(model):
    (detection,) = model.detect(noise(), RATE_HZ, threshold=1e-6)
    assert all(isinstance(event, Event) for event in detection.events)
    assert vars(detection.events[0]).keys() == {"onset_s", "offset_s", "label", "score"}


def test_a_network_without_an_embedding_says_so(model):
    with pytest.raises(UserError, match="has no embedding"):
        model.embed(noise(), RATE_HZ)


def test_a_bad_sound_stops_or_gets_its_error_in_the_answers_place(model, tmp_path):
    (tmp_path / "b.wav").write_text("no sound", encoding="utf-8")
    sounds = [noise(), tmp_path / "b.wav", np.full(9, np.nan), np.zeros(0), noise()]
    names = ["sounds[0]", str(tmp_path / "b.wav"), "sounds[2]", "sounds[3]", "sounds[4]"]
    whys = [None, "libsndfile cannot decode", "contains NaN or infinite samples", "contains no samples", None]
    for ask in (model.predict, model.tag, model.detect):
        with pytest.raises(BadClip, match=r"b.wav\): libsndfile cannot decode it"):
            ask(sounds, RATE_HZ)
        answers = ask(sounds, RATE_HZ, on_bad="skip")
        assert [answer.sound for answer in answers] == names
        for answer, why in zip(answers, whys, strict=True):
            assert (answer.error is None) == (why is None)
            assert why is None or why in answer.error.wrong
        with pytest.raises(UserError, match="on_bad is 'ignore'\n  allowed: stop, skip"):
            ask(sounds, RATE_HZ, on_bad="ignore")


def test_orders_that_mean_nothing_are_refused(model):
    assert len(model.predict(noise(), RATE_HZ, topk=1)[0].scores) == 1
    for topk in (0, -1):
        with pytest.raises(UserError, match=f"topk is {topk}"):
            model.predict(noise(), RATE_HZ, topk=topk)
    with pytest.raises(UserError, match="the threshold is 2"):
        model.tag(noise(), RATE_HZ, threshold=2)
    with pytest.raises(UserError, match="min_gap_s is -1"):
        model.detect(noise(), RATE_HZ, min_gap_s=-1)
    with pytest.raises(UserError, match="no sound to embed"):
        model.embed([])


def test_models_that_are_not_there_are_refused(folder, tmp_path):
    with pytest.raises(UnknownPlugin, match=r"unknown model 'panns_cnn144'\n  closest: panns_cnn14"):
        load_model("panns_cnn144")
    for nothing in (tmp_path / "nothing", str(tmp_path / "nothing"), "runs/nothing/best_model", tmp_path):
        with pytest.raises(BadBundle, match="not a model folder"):
            load_model(nothing)
    with pytest.raises(UserError, match="weights 'audioset' beside the model folder"):
        load_model(folder, weights="audioset")
    with pytest.raises(UserError, match="there is no engine 'steam'"):
        load_model(folder, engine="steam")
    with pytest.raises(UserError, match=r"the window is 0\.001 s"):
        load_model(folder, window_s=0.001)
    with pytest.raises(UserError, match="the batch size is 0"):
        load_model(folder, batch_size=0)
    with pytest.raises(UserError, match=r"the device is 'cuda'\n  give cpu, gpu or gpu:N; there is: cpu"):
        load_model(folder, device="cuda")
    with pytest.raises(UserError, match=r"there is no device 'gpu:99'\n  there is: cpu"):
        load_model(folder, device="gpu:99")


def test_a_model_on_a_device_gives_what_it_gives_on_the_current_one(folder, model, tmp_path):
    before = paddle.get_device()
    sounds = [write(tmp_path / f"{place}.wav", noise(4 * CROP, place)) for place in range(4)]
    chosen = load_model(folder, device="cpu", batch_size=8)
    assert [one.scores for one in chosen.predict(sounds)] == [one.scores for one in model.predict(sounds)]
    assert chosen.detect(sounds, threshold=0.1) == model.detect(sounds, threshold=0.1)
    assert paddle.get_device() == before


def test_a_published_network_tags_and_embeds(tmp_path):
    from pannsdist.builtin.panns import Cnn6

    layer = Cnn6(Cnn6.Params()).build([str(number) for number in range(527)], Cnn6.front_end)
    paddle.save({name: tensor.numpy() for name, tensor in layer.state_dict().items()}, str(tmp_path / "w.pdparams"))
    model = load_model("panns_cnn6", str(tmp_path / "w.pdparams"))
    assert (len(model.labels), model.multi_label, model.record) == (527, True, None)
    vectors = model.embed([noise(16000), noise(40000)], 32000)
    assert (vectors.shape, vectors.dtype) == ((2, 512), np.float32)
    np.testing.assert_allclose(vectors[0], model.embed(noise(16000), 32000)[0], atol=1e-5)
    assert len(model.predict(noise(16000), 32000)[0].scores) == 527


def answer(code):
    plain = {name: value for name, value in os.environ.items() if name != "MKL_DEBUG_CPU_TYPE"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=PROJECT, env=plain, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_naming_load_model_imports_neither_paddle_nor_numpy():
    code = """
import json, sys
import pannsdist
before = [name for name in ("paddle", "numpy") if name in sys.modules]
from pannsdist import load_model
print(json.dumps([before, [name for name in ("paddle", "numpy") if name in sys.modules]]))"""
    assert answer(code) == [[], []]


def test_load_model_sets_the_processors_fast_path_before_paddle_is_imported(folder, tmp_path):
    code = f"""
import json, os, sys, warnings
sys.path[:0] = [{str(tmp_path / "site")!r}, {str(PROJECT / "tests" / "unit")!r}, {str(PROJECT / "tests")!r}]
warnings.simplefilter("ignore")
from pannsdist.runtime import cpu
from pannsdist import load_model
cpu.is_amd = lambda: True
load_model({str(folder)!r})
first = os.environ.pop("MKL_DEBUG_CPU_TYPE", None)
load_model({str(folder)!r})
print(json.dumps([first, os.environ.get("MKL_DEBUG_CPU_TYPE")]))"""
    assert answer(code) == ["5", None]


def test_the_package_has_no_other_name():
    with pytest.raises(AttributeError, match="module 'pannsdist' has no attribute 'load_modle'"):
        pannsdist.load_modle  # noqa: B018
