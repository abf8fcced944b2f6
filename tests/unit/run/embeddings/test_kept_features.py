"""Training from features that are computed once for each clip: the bits, the cache, and what prevents it."""

import shutil
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import paddle
import pytest
import soundfile
from small_parts import RATE_HZ, SmallModel, catalog

from pannsdist import settings
from pannsdist.audio.loader import Loader
from pannsdist.builtin.logmel import LogMel
from pannsdist.cache import keys, pack
from pannsdist.distributed.fleet import SingleProcessWorld
from pannsdist.registry import Catalog, Entry, Origin, Registry
from pannsdist.run import building
from pannsdist.run.planning.decide import decide
from pannsdist.run.planning.plan_table import plan_table
from pannsdist.runtime.errors import BadClip, CannotWrite, SettingsError, Stopped
from pannsdist.training.fit_context import ResultSinks

TEXT = """
name: kept
model: {name: small}
feature: {name: counted}
data: {name: folder, workers: 0, cache_features: true, params: {root: sounds, valid_fraction: 0.25}}
train: {epochs: 3, batch_size: 4, crop_s: 0.25, spec_augment: true}
mixup: {alpha: 1.0, pairs: free, domain: features}
optimizer: {learning_rate: 0.02}
"""
PARAMS = tuple(f"feature.params.{name}={value}" for name, value in SmallModel.feature_params.items())
CLIPS, STEPS = 16, 9
CHECKS, SHAPE, AGAIN = 4, 1, 1
"""Calls of the front end at the start: with noise, for the shape, and for one clip of a cache that is not empty."""


class CountedLayer(paddle.nn.Layer):
    """The log-mel of the small networks. `calls` counts those of all instances, `level` stands for its code."""

    calls, level = 0, 1.0

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, waveform):
        CountedLayer.calls += 1
        return self.inner(waveform) * CountedLayer.level


class NoisyLayer(CountedLayer):
    def forward(self, waveform):
        return self.inner(waveform) + (paddle.rand([1]) if self.training else 0)


class ModedLayer(CountedLayer):
    def forward(self, waveform):
        return self.inner(waveform) + (1 if self.training else 0)


class JoinedLayer(CountedLayer):
    """Normalised over the batch."""

    def forward(self, waveform):
        return self.inner(waveform) - self.inner(waveform).mean()


class Counted(LogMel):
    layer = CountedLayer

    def build(self):
        return self.layer(super().build())


class Noisy(Counted):
    layer = NoisyLayer


class Moded(Counted):
    layer = ModedLayer


class Joined(Counted):
    layer = JoinedLayer


class Model(SmallModel):
    feature = "counted"


@pytest.fixture(autouse=True)
def _place(tmp_path, monkeypatch):
    """A cache and a working folder of this test; files count as settled at once."""
    monkeypatch.setenv("PANNSDIST_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(keys, "SETTLED_NS", 0)
    monkeypatch.chdir(tmp_path)
    for column, (label, pitch_hz) in enumerate({"high": 2500, "low": 300}.items()):
        for number in range(8):
            sound(tmp_path / "sounds" / label / f"{number}.wav", pitch_hz + 20 * number, 10 * column + number)


def sound(path, pitch_hz, seed, duration_s=0.25):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).normal(0, 0.02, int(RATE_HZ * duration_s))
    soundfile.write(path, 0.4 * np.sin(2 * np.pi * pitch_hz * np.arange(len(noise)) / RATE_HZ) + noise, RATE_HZ)


def parts(kind="Counted"):
    found, origin = catalog(), Origin("small-parts", "1.0")
    own = (
        Entry("model", "small", origin, f"{__name__}:Model"),
        Entry("feature", "counted", origin, f"{__name__}:{kind}"),
    )
    more = {one.kind: Registry(one.kind, {**found.registry(one.kind).entries, one.name: (one,)}) for one in own}
    return Catalog({**found.registries, **more})


def planned(*overrides, known=None):
    Path("run.yaml").write_text(TEXT, encoding="utf-8")
    chosen, origin = settings.load(Path("run.yaml"), (*PARAMS, *overrides))
    return decide(chosen, origin, known or parts(), 1)


class Run:
    """A run of one process; resumes from `snapshot` if there is one."""

    def __init__(self, *overrides, snapshot=None, known=None):
        self.plan = planned(*overrides, known=known)
        self.network = building.build_network(self.plan)
        building.load_pretrained(self.plan, self.network, snapshot)
        self.parts = building.build_parts(self.plan, SingleProcessWorld(), self.network, Loader(0))
        self.progress = self.parts.trainer.restore(snapshot)
        self.snapshots, self.bad = [], []

    def fit(self, stop_after=None):
        """Train to the end, or stop before the step after so many."""
        steps = count()
        sinks = ResultSinks([], lambda snapshot, _: self.snapshots.append(snapshot), self.bad.extend)
        with self.parts.entered():
            self.progress = self.parts.trainer.fit(
                self.progress, self.parts.data, self.parts.split, sinks, lambda: next(steps) == stop_after
            )
        return self

    def stopped(self, after):
        """The last snapshot of a run that is stopped."""
        with pytest.raises(Stopped):
            self.fit(after)
        return self.snapshots[-1]

    @property
    def weights(self):
        return self.network.arrays()


def called(work):
    """(what `work` returns, calls of the front end since)."""
    before = CountedLayer.calls
    return work(), CountedLayer.calls - before


def assert_equal(left, right):
    assert left.keys() == right.keys()
    for name in left:
        np.testing.assert_array_equal(left[name], right[name], err_msg=name)


def packs(ending):
    return sorted(Path("home/arrays").glob(f"*/*{ending}"))


def test_the_front_end_is_computed_once_for_each_clip_and_for_one_again_to_check_the_cache():
    run, calls = called(lambda: Run().fit())
    assert calls == CHECKS + SHAPE + CLIPS + AGAIN
    again, calls = called(lambda: Run().fit())
    assert calls == CHECKS + SHAPE + AGAIN
    assert_equal(again.weights, run.weights)
    assert again.progress == run.progress
    assert "features   computed once for each clip, about 1 MB, in " in plan_table(run.plan)


@pytest.mark.parametrize("alpha", ["0", "1.0"])
@pytest.mark.parametrize("masks", ["true", "false"])
def test_it_trains_as_a_run_that_computes_features_in_every_step(alpha, masks):
    """With SpecAugment and mixup of features, which come later. The log-mel of a clip alone rounds in another way."""
    how = (f"mixup.alpha={alpha}", f"train.spec_augment={masks}")
    run, plain = Run(*how).fit(), Run(*how, "data.cache_features=false").fit()
    for name, value in plain.weights.items():
        np.testing.assert_allclose(run.weights[name], value, rtol=1e-4, atol=1e-4, err_msg=name)
    assert run.progress.step == plain.progress.step == STEPS


def test_a_batch_has_the_ids_targets_pairs_and_random_numbers_of_one_of_waveforms():
    run, plain = Run(), Run("data.cache_features=false")
    with run.parts.entered():
        for kept, other in zip(run.parts.data.batches(2, 0), plain.parts.data.batches(2, 0), strict=True):
            assert kept.waveforms.shape == (len(other.waveforms), 16, 16)
            assert (kept.ids, kept.further_ids) == (other.ids, other.further_ids)
            for name in ("targets", "partners", "mix_weights", "augment_noise"):
                np.testing.assert_array_equal(getattr(kept, name), getattr(other, name))
            with paddle.no_grad():
                expected = plain.network.feature(paddle.to_tensor(other.waveforms)).numpy()
            np.testing.assert_allclose(kept.waveforms, expected[:, 0], atol=1e-4)


def test_an_evaluation_has_the_same_predictions():
    run = Run().fit()
    split = run.parts.split
    with run.parts.entered():
        found = run.parts.evaluator.evaluate(replace(split, batches=lambda: split.batches_after(1))).predictions
    expected = run.parts.evaluator.evaluate(split).predictions
    assert found.ids == expected.ids
    np.testing.assert_allclose(found.logits, expected.logits, atol=1e-4)


@pytest.mark.parametrize("lost", ["nothing", "all", "a byte", "the end of a file"])
def test_a_resumed_run_has_the_same_bits_whatever_is_left_of_the_cache(lost):
    whole = Run().fit()
    shutil.rmtree("home")
    snapshot = Run().stopped(after=4)
    for path in packs(".arrays"):
        if lost == "all":
            shutil.rmtree("home")
        elif lost == "a byte":
            content = bytearray(path.read_bytes())
            content[5] ^= 1
            path.write_bytes(content)
        elif lost == "the end of a file":
            path.write_bytes(path.read_bytes()[:1500])
    resumed = Run(snapshot=snapshot).fit()
    assert_equal(resumed.weights, whole.weights)
    assert_equal(resumed.snapshots[-1].optimizer, whole.snapshots[-1].optimizer)
    assert resumed.progress == whole.progress


@pytest.mark.parametrize("broken", ["no cache", "a file in its place", "full"])
def test_a_cache_that_cannot_be_written_changes_no_bit(broken, capsys, monkeypatch):
    expected = Run().fit().weights
    shutil.rmtree("home")
    if broken == "a file in its place":
        Path("home").write_text("mine")
    elif broken == "full":
        monkeypatch.setattr(pack.PackWriter, "add", disk_full)
    run, calls = called(lambda: Run(*["data.cache_limit_gb=0"] * (broken == "no cache")).fit())
    assert_equal(run.weights, expected)
    assert calls > CHECKS + SHAPE + 2 * CLIPS
    noted = capsys.readouterr().err.count("is not kept for the next run")
    assert noted == (0 if broken == "no cache" else 1)


def disk_full(*_):
    raise CannotWrite("no space left on device")


def test_the_folder_of_data_cache_holds_them_and_sounds_are_not_kept_twice():
    for path in Path("sounds").glob("*/*.wav"):
        samples, _ = soundfile.read(path)
        soundfile.write(path.with_suffix(".flac"), np.repeat(samples, 2), 2 * RATE_HZ)
        path.unlink()
    assert "cache      off: features are kept instead" in plan_table(planned())
    assert "cache      " in plan_table(planned("data.cache_features=false"))
    run = Run("data.cache=own").fit()
    assert sorted(Path("own").glob("*/*.arrays"))
    assert "features   computed once for each clip, about 1 MB, in " in plan_table(run.plan)


def test_a_crop_that_is_drawn_is_computed_in_every_epoch():
    for number in range(8):
        sound(Path(f"sounds/low/{number}.wav"), 300 + 20 * number, number, duration_s=0.6)
    run = Run("mixup.alpha=0").fit()
    assert "in every epoch, since their crop is random" in plan_table(run.plan)
    assert_equal(Run("mixup.alpha=0").fit().weights, run.weights)
    with run.parts.entered():
        first, second = (
            {
                name: array
                for batch in run.parts.data.batches(epoch, 0)
                for name, array in zip(batch.ids, batch.waveforms, strict=True)
            }
            for epoch in (1, 2)
        )
    for name in first.keys() & second.keys():
        assert (first[name] == second[name]).all() == ("high" in name)


def test_what_changes_waveforms_is_named_and_refused():
    refused = {
        ("augment.gain={}",): "the waveforms of clips differ each time by gain",
        ("mixup.domain=waveform",): "the waveforms of clips differ each time by mixup of the waveform",
        ("train.group_by_length=true",): "pads a clip to the longest of its batch",
    }
    for overrides, reason in refused.items():
        with pytest.raises(SettingsError, match=reason) as caught:
            planned(*overrides)
        assert "data.cache_features" in caught.value.wrong and "data.cache_features=false" in str(caught.value)
    assert planned("augment.gain={}", "train.overfit_batches=1")  # which changes nothing


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("Noisy", "is random in training"),
        ("Moded", "is another one in evaluation than in training"),
        ("Joined", "depends on the other clips of a batch"),
    ],
)
def test_a_front_end_whose_output_is_not_of_one_waveform_alone_is_refused(kind, reason):
    with pytest.raises(SettingsError, match=reason) as caught:
        Run(known=parts(kind))
    assert "counted" in caught.value.wrong
    Run("data.cache_features=false", "train.epochs=1", known=parts(kind)).fit()


def test_a_bad_clip_is_listed_left_unmixed_and_a_changed_one_is_computed_again():
    Run().fit()
    clip = planned().data.splits["train"].clips[0]
    clip.source.write_bytes(b"RIFF")
    with pytest.raises(BadClip, match=clip.id):
        Run().fit()
    skip = "data.on_bad_clip=skip"
    run = Run(skip).fit()
    assert {clip.id in bad.wrong for bad in run.bad} == {True}
    assert_equal(Run(skip, "data.cache_limit_gb=0").fit().weights, run.weights)
    plain = Run(skip, "data.cache_features=false").fit()
    assert [bad.wrong for bad in run.bad] == [bad.wrong for bad in plain.bad]
    sound(clip.source, 1000, 99)
    changed, calls = called(lambda: Run().fit())
    assert calls == CHECKS + SHAPE + AGAIN + 1
    assert_equal(Run("data.cache_limit_gb=0").fit().weights, changed.weights)


@pytest.mark.parametrize("steps", [1, 2])
def test_a_batch_without_a_readable_clip_takes_part_in_its_step(steps):
    for path in Path("sounds/high").iterdir():
        path.write_bytes(b"RIFF")
    how = ("data.on_bad_clip=skip", "train.batch_size=2", f"train.accumulate_steps={steps}", "mixup.alpha=0")
    run = Run(*how).fit()
    assert len({bad.wrong for bad in run.bad}) > 1
    assert_equal(Run(*how).fit().weights, run.weights)


def test_features_of_a_plugin_that_has_changed_since_are_noticed(capsys, monkeypatch):
    expected = Run().fit().weights
    shutil.rmtree("home")
    monkeypatch.setattr(CountedLayer, "level", 2.0)
    Run().fit()
    monkeypatch.setattr(CountedLayer, "level", 1.0)
    assert_equal(Run().fit().weights, expected)
    assert "features in the cache are not those of this network" in capsys.readouterr().err


def test_embeddings_of_a_frozen_body_come_first_and_features_after_it():
    how = ("train.freeze=[body]", "train.unfreeze_epoch=2", "mixup.alpha=0", "train.spec_augment=false")
    run = Run(*how, known=still())
    with run.parts.entered():
        frozen, later = (next(iter(run.parts.data.batches(epoch, 0))) for epoch in (1, 2))
    assert (frozen.is_embedded, frozen.waveforms.ndim) == (True, 2)
    assert (later.is_embedded, later.waveforms.shape) == (False, (4, 16, 16))
    run.fit()


class StillLayer(paddle.nn.Layer):
    def __init__(self, bins, classes):
        super().__init__()
        self.hidden = paddle.nn.Linear(bins, 8)
        self.classifier = paddle.nn.Linear(8, classes)

    def forward(self, image):
        return self.classifier(paddle.nn.functional.relu(self.hidden(image.squeeze(1).mean(axis=1) / 50)))


class StillModel(Model):
    def build(self, labels, front_end):
        return StillLayer(front_end.bins, len(labels))


def still():
    found = parts()
    entry = Entry("model", "small", Origin("small-parts", "1.0"), f"{__name__}:StillModel")
    models = found.registry("model")
    return Catalog({**found.registries, "model": Registry("model", {**models.entries, "small": (entry,)})})
