"""What a model decides: read with its folder, applied to sounds, and the same in a graph."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import tiny_sounds
from small_parts import RATE_HZ, catalog, tone_clips, write_small_bundle

from pannsdist.audio.reader import Recording
from pannsdist.inference.bundle import load_bundle, read_record
from pannsdist.inference.decisions import Decisions, energies, probabilities
from pannsdist.inference.decisions_file import write_decisions
from pannsdist.inference.detection import Rule, WindowScores, events
from pannsdist.inference.engines.export import export
from pannsdist.inference.engines.onnx_runtime import load_onnx_outputs
from pannsdist.inference.engines.selection import build_engine
from pannsdist.inference.model import Model
from pannsdist.inference.options import InferenceOptions
from pannsdist.inference.predictor import Predictor
from pannsdist.runtime.errors import BadBundle

LABELS = ("tone", "sweep")
FITTED = Decisions(2.0, (0.4, 0.6), 0.5, min_energy=0.1, rejected=0.05, fitted_on="valid of tones", clips=8)
WINDOW = round(tiny_sounds.WINDOW_S * RATE_HZ)


@pytest.fixture
def folder(tmp_path):
    write_small_bundle(tmp_path / "model", LABELS)
    return tmp_path / "model"


def decided_model(multi_label, engine="dygraph", **changes):
    """A small model whose middle energy on noise is what its decisions ask for."""
    plain = tiny_sounds.inference_model(multi_label=multi_label)
    found = Decisions(2.0, (0.3, 0.5, 0.4), 0.5, **changes)
    own = replace(plain, decisions=found)
    return own, Predictor(own, engine=build_engine(own, engine))


def sounds(count=9):
    return [Recording(f"{n}", tiny_sounds.noise(1, WINDOW, n)[0] * (n + 1), RATE_HZ) for n in range(count)]


def logits_of(inference_model, sounds):
    return np.concatenate([build_engine(inference_model, "dygraph").run("logits", one.samples[None]) for one in sounds])


def test_decisions_are_read_with_the_model_folder_that_they_were_written_into(folder):
    before = read_record(folder)
    write_decisions(folder, FITTED)
    assert read_record(folder) == replace(before, decisions=FITTED)
    assert load_bundle(folder, catalog()).inference_model.decisions == FITTED


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"temperature": 0.0}, "temperature of the decisions is no number from 0.01 to 100"),
        ({"temperature": "1"}, "temperature"),
        ({"thresholds": [0.5]}, "other classes than the 2"),
        ({"thresholds": [0.5, 2.0]}, "a threshold"),
        ({"frame_thresholds": [0.5]}, "other classes"),
        ({"median_s": [1e9, 0.1], "frame_thresholds": [0.5, 0.5]}, "median filter"),
        ({"min_energy": 1e300}, "min_energy"),
        ({"goal": "beauty"}, "another goal"),
        ({"clips": -1}, "number of clips"),
        ({"fitted_on": "a\u0007"}, "no text"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_decisions_that_nothing_fits_are_refused(folder, change, said):
    content = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
    content["decisions"] = {**asdict(FITTED), **change}
    (folder / "bundle.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(BadBundle, match=said):
        read_record(folder)


@pytest.mark.parametrize("engine", ["dygraph", "paddle", "onnx"])
@pytest.mark.parametrize("multi_label", [False, True])
def test_every_engine_gives_calibrated_probabilities_and_energies(engine, multi_label):
    if engine != "dygraph":
        tiny_sounds.skip_unless_installed(engine)
    own, predictor = decided_model(multi_label, engine)
    tempered = logits_of(own, sounds()) / 2.0
    found = list(predictor.predict(sounds()))
    scores = [[dict(one.scores)[label] for label in own.labels] for one in found]
    np.testing.assert_allclose(scores, probabilities(tempered, multi_label), atol=1e-5)
    np.testing.assert_allclose([one.energy for one in found], energies(tempered, multi_label), atol=1e-4)


def test_one_label_is_the_most_probable_one_and_below_the_energy_there_is_none():
    own, _ = decided_model(False)
    middle = float(np.median(energies(logits_of(own, sounds()) / 2.0, False)))
    own, predictor = decided_model(False, min_energy=middle - 1e-4)
    answers = list(predictor.predict(sounds()))
    assert {len(one.decision) for one in answers} == {0, 1}
    for one in answers:
        assert one.decision == ((one.scores[0][0],) if one.energy >= middle - 1e-4 else ())


def test_several_labels_are_those_that_reach_their_thresholds():
    own, predictor = decided_model(True)
    least = dict(zip(own.labels, own.decisions.thresholds, strict=True))
    answers = list(predictor.predict(sounds()))
    assert len({one.decision for one in answers}) > 1
    for one in answers:
        assert one.decision == tuple(label for label, p in one.scores if np.float32(p) >= np.float32(least[label]))


def test_tag_and_detect_use_the_decisions_unless_a_threshold_is_given():
    own, _ = decided_model(True)
    model = Model(own, options=InferenceOptions(engine="dygraph"))
    array = 0.2 * sounds()[3].samples
    (answer,) = model.predict(array, RATE_HZ)
    (tagged,) = model.tag(array, RATE_HZ)
    assert tuple(tagged.scores) == answer.decision == tagged.decision
    (all_tagged,) = model.tag(array, RATE_HZ, threshold=1e-6)
    assert tuple(all_tagged.scores) == tuple(answer.scores)
    assert model.rule().thresholds == own.decisions.thresholds
    assert model.rule(0.2) == Rule(0.2)
    raw = Model(replace(own, decisions=None), options=InferenceOptions(engine="dygraph"))
    assert raw.predict(array, RATE_HZ)[0].decision is None
    assert raw.rule() == Rule(0.3)


def test_a_window_that_is_none_of_these_has_no_event():
    scores = np.array([0.9, 0.1], np.float32)
    timeline = [WindowScores(t, t + 1.0, scores, is_unknown=t == 1) for t in range(3)]
    found = events(timeline, LABELS, Rule(thresholds=(0.5, 0.5)))
    assert [(one.onset_s, one.offset_s) for one in found] == [(0.0, 1.0), (2.0, 3.0)]


def test_each_class_has_an_event_from_its_own_threshold_on():
    timeline = [WindowScores(0.0, 1.0, np.array([0.5, 0.5], np.float32))]
    assert [one.label for one in events(timeline, LABELS, Rule(thresholds=(0.6, 0.4)))] == ["sweep"]


@pytest.mark.parametrize("form", ["paddle", "onnx"])
@pytest.mark.parametrize("multi_label", [False, True])
def test_an_exported_graph_takes_the_same_decisions(form, multi_label, tmp_path):
    tiny_sounds.skip_unless_installed(form)
    own, _ = decided_model(multi_label)
    least = None if multi_label else float(np.median(energies(logits_of(own, sounds()) / 2.0, False))) - 1e-4
    own, predictor = decided_model(multi_label, min_energy=least)
    export(own, form, tmp_path / "out", tone_clips(2))
    record = json.loads((tmp_path / "out" / "export.json").read_text(encoding="utf-8"))
    assert [*record["outputs"]] == ["probabilities", "decisions", "energy"]
    assert record["decisions"]["temperature"] == 2.0
    if form == "onnx":
        graph = load_onnx_outputs(tmp_path / "out" / "model.onnx")
        for sound, one in zip(sounds(), predictor.predict(sounds()), strict=True):
            given, chosen, energy = graph(sound.samples[None])
            assert {own.labels[n] for n in np.flatnonzero(chosen[0])} == set(one.decision)
            assert energy[0] == pytest.approx(one.energy, abs=1e-4)
            assert given.shape == (1, 3)
