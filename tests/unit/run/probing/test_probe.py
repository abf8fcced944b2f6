"""`pannsdist probe` on a small network and real files: its folder, its cache, its folds, and what it refuses."""

import json
import re
import shutil

import numpy as np
import paddle
import pytest
import soundfile
from small_parts import RATE_HZ, SmallLayer, SmallModel, catalog

from pannsdist import settings
from pannsdist.cache import keys
from pannsdist.registry import Catalog, Entry, Origin, Registry
from pannsdist.run.evaluation import evaluate_bundle
from pannsdist.run.probing import probe as probing
from pannsdist.run.probing.plan import ProbeRequest
from pannsdist.run.probing.probe import probe
from pannsdist.runtime.errors import BadDataset, BadRunFolder, SettingsError, UserError

PITCHES = {"high": 2500, "low": 300}
PART = re.compile(r"embeddings\s+(\d+) numbers a clip; (\d+) computed in .* s, (\d+) cached")


class NaNLayer(SmallLayer):
    """Not finite for batches of more than two."""

    def forward(self, image):
        return SmallLayer.forward(self, image * (float("inf") if image.shape[0] > 2 else 1.0))


class SoftLayer(SmallLayer):
    """Something follows its head."""

    def forward(self, image):
        return paddle.nn.functional.log_softmax(SmallLayer.forward(self, image))


class NormedLayer(SmallLayer):
    """Its head is a layer norm and a linear layer, as AST's."""

    def __init__(self, bins, classes):
        super().__init__(bins, classes)
        self.classifier = paddle.nn.Sequential(paddle.nn.LayerNorm(2 * bins), self.classifier)


class NormedModel(SmallModel):
    def build(self, labels, front_end):
        return NormedLayer(front_end.bins, len(labels))


class NaNModel(SmallModel):
    def build(self, labels, front_end):
        return NaNLayer(front_end.bins, len(labels))


class SoftModel(SmallModel):
    def build(self, labels, front_end):
        return SoftLayer(front_end.bins, len(labels))


@pytest.fixture(autouse=True)
def _place(tmp_path, monkeypatch):
    """A cache and a working folder of this test; files count as settled at once."""
    monkeypatch.setenv("PANNSDIST_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(keys, "SETTLED_NS", 0)
    monkeypatch.chdir(tmp_path)


def sound(path, pitch_hz, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).normal(0, 0.02, RATE_HZ // 4)
    soundfile.write(path, 0.4 * np.sin(2 * np.pi * pitch_hz * np.arange(len(noise)) / RATE_HZ) + noise, RATE_HZ)


@pytest.fixture
def sounds(tmp_path):
    """Two classes of four clips: so few that no graph is compiled for them."""
    for column, (label, pitch_hz) in enumerate(PITCHES.items()):
        for number in range(4):
            sound(tmp_path / "sounds" / label / f"{number}.wav", pitch_hz + 20 * number, 10 * column + number)
    return tmp_path / "sounds"


def config(tmp_path, text="", params="root: sounds, valid_fraction: 0.5", data="name: folder", model="small"):
    path = tmp_path / "probe.yaml"
    path.write_text(
        f"name: mine\nmodel: {{name: {model}}}\ntrain: {{crop_s: 0.2}}\n"
        f"data: {{{data}, workers: 0, params: {{{params}}}}}\n{text}",
        encoding="utf-8",
    )
    return path


def with_model(name, place):
    found = catalog()
    models = found.registry("model")
    entry = Entry("model", name, Origin("small-parts", "1.0"), place)
    return Catalog({**found.registries, "model": Registry("model", {**models.entries, name: (entry,)})})


def probed(path, kind="linear", folds=False, overrides=(), known=None):
    return probe(ProbeRequest(path, tuple(overrides), kind, folds), known or catalog())


def evaluated(tmp_path, path, split="valid", known=None):
    chosen, origin = settings.load(path, ())
    return evaluate_bundle(tmp_path / "runs/mine_probe/best_model", chosen, origin, known or catalog(), split)


def counts(printed):
    return [int(number) for number in PART.search(printed).groups()]


@pytest.mark.usefixtures("sounds")
@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_evaluate_gives_what_scikit_learn_decided(kind, tmp_path, capsys):
    path = config(tmp_path)
    results = probed(path, kind)
    printed = capsys.readouterr().out
    expected = results.divisions[0]
    found = evaluated(tmp_path, path)
    assert found.predictions.ids == expected.predictions.ids
    np.testing.assert_allclose(found.predictions.logits, expected.predictions.logits, atol=1e-4)
    assert found.evaluation.scores["valid/accuracy"] == expected.evaluation.scores["valid/accuracy"] == 1.0
    assert re.search(r"valid/accuracy +1\.0000", printed)
    record = json.loads((tmp_path / "runs/mine_probe/probe.json").read_text())
    assert record["kind"] == kind
    assert record["divisions"]["train"]["scores"]["valid/accuracy"] == 1.0
    assert "next: pannsdist predict --model runs/mine_probe/best_model" in printed


@pytest.mark.usefixtures("sounds")
@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_a_head_that_ends_with_a_linear_layer_is_trained_from_there(kind, tmp_path):
    path, known = config(tmp_path, model="strange"), with_model("strange", f"{__name__}:NormedModel")
    expected = probed(path, kind, known=known).divisions[0].predictions
    found = evaluated(tmp_path, path, known=known).predictions
    np.testing.assert_allclose(found.logits, expected.logits, atol=1e-4)


def test_a_second_probe_computes_nothing_and_a_changed_file_is_computed_again(sounds, tmp_path, capsys):
    path = config(tmp_path)
    first = probed(path)
    assert counts(capsys.readouterr().out) == [32, 8, 0]
    second = probed(path, "mlp")
    assert counts(capsys.readouterr().out) == [32, 0, 8]
    assert first.divisions[0].predictions.ids == second.divisions[0].predictions.ids
    sound(sounds / "low" / "0.wav", 320, 99)
    probed(path)
    assert counts(capsys.readouterr().out) == [32, 1, 7]
    probed(path, overrides=["train.crop_s=0.15"])
    assert counts(capsys.readouterr().out) == [32, 8, 0]
    probed(path, overrides=["data.cache_limit_gb=0"])
    assert counts(capsys.readouterr().out) == [32, 8, 0]


@pytest.mark.usefixtures("sounds")
def test_cached_embeddings_give_the_same_scores(tmp_path):
    path = config(tmp_path)
    first, second = probed(path), probed(path)
    np.testing.assert_array_equal(first.divisions[0].predictions.logits, second.divisions[0].predictions.logits)


@pytest.mark.usefixtures("sounds")
def test_folds_are_scored_each_and_the_model_has_seen_all_of_them(tmp_path, capsys):
    path = config(tmp_path, params="root: sounds, folds: 2")
    results = probed(path, folds=True)
    printed = capsys.readouterr().out
    assert counts(printed) == [32, 8, 0]  # each clip once, not once for each fold
    assert [one.name for one in results.divisions] == ["fold_1", "fold_2"]
    held_out = [name for one in results.divisions for name in one.predictions.ids]
    assert sorted(held_out) == sorted(set(held_out))
    assert len(held_out) == 8
    assert re.search(r"mean of 2 folds, 8 clips +95 % interval", printed)
    decided = [evaluated(tmp_path, path, split).predictions for split in ("train", "valid")]
    assert sum(len(one.ids) for one in decided) == 8
    for one in decided:
        assert (one.logits.argmax(axis=1) == one.targets).all()


@pytest.mark.usefixtures("sounds")
def test_nearest_neighbours_write_no_model_and_say_so(tmp_path, capsys):
    results = probed(config(tmp_path), "knn")
    assert results.divisions[0].evaluation.scores["valid/accuracy"] == 1.0
    assert "so there is no model folder" in capsys.readouterr().out
    assert not (tmp_path / "runs/mine_probe/best_model").exists()


@pytest.mark.usefixtures("sounds")
@pytest.mark.parametrize("kind", ["linear", "mlp", "knn"])
def test_several_labels_a_clip(kind, tmp_path, capsys):
    rows = ["path,label"]
    for number in range(4):
        rows += [f"sounds/high/{number}.wav,high;loud", f"sounds/low/{number}.wav,low;loud"]
    (tmp_path / "clips.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    path = config(tmp_path, data="name: manifest", params="path: clips.csv, valid_fraction: 0.5, multi_label: true")
    results = probed(path, kind)
    assert results.divisions[0].evaluation.scores["valid/mean_average_precision"] == 1.0
    assert "valid/mean_average_precision" in capsys.readouterr().out


@pytest.mark.parametrize(("kind", "default"), [("linear", "C is the default, 1"), ("mlp", "alpha is"), ("knn", "k is")])
def test_one_clip_of_each_class_is_trained_with_the_default_and_a_word(kind, default, sounds, tmp_path, capsys):
    for label in PITCHES:
        for number in range(2, 4):
            (sounds / label / f"{number}.wav").unlink()
    probed(config(tmp_path, params="root: sounds, valid_fraction: 0.5"), kind)
    printed = capsys.readouterr().out
    assert re.search(default + r".*: class '\w+' has a single clip or group of clips in train", printed)
    assert "chosen by folds" not in printed


@pytest.mark.usefixtures("sounds")
def test_what_a_probe_does_not_use_of_the_settings_is_said(tmp_path, capsys):
    probed(config(tmp_path, "augment: {gain: {}}\nmixup: {alpha: 0.5}\n"))
    assert "not used   augment.gain, mixup.alpha: a probe sees each clip as it is" in capsys.readouterr().out


@pytest.mark.usefixtures("sounds")
@pytest.mark.parametrize(
    ("model", "wrong"),
    [("NaNModel", "not finite for clip"), ("SoftModel", "something is computed after its head 'classifier'")],
)
def test_a_network_that_cannot_be_probed_is_refused(model, wrong, tmp_path):
    known = with_model("strange", f"{__name__}:{model}")
    with pytest.raises(UserError, match=wrong):
        probed(config(tmp_path, model="strange"), known=known)
    assert not (tmp_path / "runs/mine_probe/best_model").exists()


def test_a_bad_clip_stops_the_probe_or_is_left_out(sounds, tmp_path, capsys):
    (sounds / "low" / "0.wav").write_bytes(b"RIFF")
    path = config(tmp_path)
    with pytest.raises(UserError, match=r"low/0"):
        probed(path)
    results = probed(path, overrides=["data.on_bad_clip=skip"])
    assert results.divisions[0].clips + len(results.divisions[0].predictions.ids) == 7
    assert "left out: clip" in capsys.readouterr().err


def test_a_dataset_without_folds_and_a_class_absent_from_training_are_refused(sounds, tmp_path):
    with pytest.raises(BadDataset, match="has 0 folds"):
        probed(config(tmp_path), folds=True)
    for number in range(1, 4):
        (sounds / "low" / f"{number}.wav").unlink()
    with pytest.raises(UserError, match="'low'"):
        probed(config(tmp_path, params="root: sounds, folds: 2"), folds=True)


def test_a_class_absent_from_what_a_fold_is_scored_on_is_no_obstacle(sounds, tmp_path):
    for number in range(2, 4):
        (sounds / "low" / f"{number}.wav").unlink()
    rows = [f"sounds/high/{number}.wav,high,{1 + number % 3}" for number in range(4)]
    rows += [f"sounds/low/{number}.wav,low,{1 + number}" for number in range(2)]
    (tmp_path / "clips.csv").write_text("\n".join(["path,label,fold", *rows]) + "\n", encoding="utf-8")
    results = probed(config(tmp_path, data="name: manifest", params="path: clips.csv"), folds=True)
    absent = results.divisions[2]
    assert set(absent.predictions.targets) == {0}
    assert 0.0 <= absent.evaluation.scores["valid/accuracy"] <= 1.0


@pytest.mark.usefixtures("sounds")
@pytest.mark.parametrize("broken", ["a file in its place", "a damaged pack"])
def test_a_cache_that_cannot_be_used_changes_no_score(broken, tmp_path):
    path = config(tmp_path)
    expected = probed(path).divisions[0].predictions.logits
    if broken == "a file in its place":
        shutil.rmtree(tmp_path / "home")
        (tmp_path / "home").write_text("mine")
    else:
        for pack in (tmp_path / "home" / "arrays").glob("*/*.arrays"):
            pack.write_bytes(bytes(pack.stat().st_size))
    np.testing.assert_array_equal(probed(path).divisions[0].predictions.logits, expected)


@pytest.mark.usefixtures("sounds")
def test_the_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "runs/mine_probe").mkdir(parents=True)
    (tmp_path / "runs/mine_probe/thesis.txt").write_text("mine")
    with pytest.raises(BadRunFolder, match=r"has no probe\.json"):
        probed(config(tmp_path))
    with pytest.raises(SettingsError, match="no kind of probe 'liner'"):
        probed(config(tmp_path), "liner")


@pytest.mark.usefixtures("sounds")
def test_embeddings_of_a_network_that_has_changed_since_are_noticed(tmp_path, capsys, monkeypatch):
    path = config(tmp_path)
    right = probed(path).divisions[0].predictions.logits
    monkeypatch.setattr(probing, "recipe", lambda *_: {"for": "any network"})
    probed(path, overrides=["train.crop_s=0.15"])
    probed(path)  # with embeddings of other waveforms in the cache
    assert "computed again" in capsys.readouterr().err
    found = json.loads((tmp_path / "runs/mine_probe/probe.json").read_text())
    assert found["divisions"]["train"]["scores"]["valid/accuracy"] == 1.0
    np.testing.assert_allclose(evaluated(tmp_path, path).predictions.logits, right, atol=1e-4)
