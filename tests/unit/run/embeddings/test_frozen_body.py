"""Training the head of a frozen body from cached embeddings: its bits, its scores, its cache, and what prevents it."""

import shutil
from contextlib import nullcontext
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import paddle
import pytest
import soundfile
from small_parts import RATE_HZ, SmallModel, catalog

from pannsdist import settings
from pannsdist.audio.batches import Shard
from pannsdist.audio.loader import Loader
from pannsdist.cache import keys, pack
from pannsdist.distributed.fleet import SingleProcessWorld
from pannsdist.registry import Catalog, Entry, Origin, Registry
from pannsdist.run import batch_sources, building
from pannsdist.run.embeddings import engine
from pannsdist.run.planning.decide import decide
from pannsdist.run.planning.plan_table import plan_table
from pannsdist.runtime.errors import BadClip, CannotWrite, Stopped, UserError
from pannsdist.training.fit_context import ResultSinks

TEXT = """
name: frozen
model: {name: still}
data: {name: folder, workers: 0, params: {root: sounds, valid_fraction: 0.25}}
train: {epochs: 3, batch_size: 4, crop_s: 0.25, freeze: [body]}
optimizer: {learning_rate: 0.02}
"""


CHECKS = 3
"""Passes with noise at the start of a run, which show whether the network allows embeddings."""


class StillLayer(paddle.nn.Layer):
    """Nothing random before the head, and dropout within it. `passes` counts those of all instances."""

    passes, level = 0, 1.0

    def __init__(self, bins, classes):
        super().__init__()
        self.norm = paddle.nn.BatchNorm1D(bins)
        self.hidden = paddle.nn.Linear(2 * bins, 8)
        self.inner = paddle.nn.Dropout(0.0)
        self.classifier = paddle.nn.Sequential(paddle.nn.Dropout(0.2), paddle.nn.Linear(8, classes))

    def embedded(self, image):
        StillLayer.passes += 1
        normed = self.norm(image.squeeze(1).transpose([0, 2, 1]) / 50)
        both = paddle.concat([normed.mean(axis=2), normed.max(axis=2)], axis=1)
        return self.inner(paddle.nn.functional.relu(self.hidden(both))) * self.level

    def forward(self, image):
        return self.classifier(self.embedded(image))


class DroppingLayer(StillLayer):
    """Dropout between a frozen stage and the head."""

    def __init__(self, bins, classes):
        super().__init__(bins, classes)
        self.inner = paddle.nn.Dropout(0.5)


class SoftLayer(StillLayer):
    def forward(self, image):
        return paddle.nn.functional.log_softmax(self.classifier(self.embedded(image)))


class FrameLayer(StillLayer):
    """The head gets two vectors a clip."""

    def forward(self, image):
        one = self.embedded(image)
        return self.classifier(paddle.stack([one, one], axis=1)).mean(axis=1)


class TwiceLayer(StillLayer):
    def forward(self, image):
        one = self.embedded(image)
        return self.classifier(one) + self.classifier(2 * one)


class StillModel(SmallModel):
    layer = StillLayer

    def build(self, labels, front_end):
        return self.layer(front_end.bins, len(labels))


class DroppingModel(StillModel):
    layer = DroppingLayer


class SoftModel(StillModel):
    layer = SoftLayer


class FrameModel(StillModel):
    layer = FrameLayer


class TwiceModel(StillModel):
    layer = TwiceLayer


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


def models(place=f"{__name__}:StillModel"):
    found = catalog()
    models = found.registry("model")
    entry = Entry("model", "still", Origin("small-parts", "1.0"), place)
    return Catalog({**found.registries, "model": Registry("model", {**models.entries, "still": (entry,)})})


class Run:
    """A run of one process; resumes from `snapshot` if there is one."""

    def __init__(self, *overrides, snapshot=None, known=None):
        Path("run.yaml").write_text(TEXT, encoding="utf-8")
        chosen, origin = settings.load(Path("run.yaml"), overrides)
        self.plan = decide(chosen, origin, known or models(), 1)
        self.network = building.build_network(self.plan)
        building.load_pretrained(self.plan, self.network, snapshot)
        self.parts = building.build_parts(self.plan, SingleProcessWorld(), self.network, Loader(0))
        self.progress = self.parts.trainer.restore(snapshot)
        self.snapshots, self.bad = [], []

    def fit(self, stop_after=None, data=None):
        """Train to the end, or stop before the step after so many."""
        steps = count()
        sinks = ResultSinks([], lambda snapshot, _: self.snapshots.append(snapshot), self.bad.extend)
        with self.parts.frozen_body or nullcontext():
            self.progress = self.parts.trainer.fit(
                self.progress, data or self.parts.data, self.parts.split, sinks, lambda: next(steps) == stop_after
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


def computed(work):
    """(what `work` returns, passes of the body since)."""
    before = StillLayer.passes
    return work(), StillLayer.passes - before


def assert_equal(left, right):
    assert left.keys() == right.keys()
    for name in left:
        np.testing.assert_array_equal(left[name], right[name], err_msg=name)


def assert_close(left, right):
    assert left.keys() == right.keys()
    for name in left:
        np.testing.assert_allclose(left[name], right[name], atol=2e-5, err_msg=name)


def packs(ending):
    return sorted(Path("home/arrays").glob(f"*/*{ending}"))


def test_each_clip_is_computed_once_and_one_again_to_check_the_cache():
    run, passes = computed(lambda: Run().fit())
    assert passes == CHECKS + 16 + 1
    again, passes = computed(lambda: Run().fit())
    assert passes == CHECKS + 1
    assert_equal(run.weights, again.weights)
    assert run.progress == again.progress
    assert "frozen     body; computed once for each clip\n" in plan_table(run.plan)


def test_logits_are_those_of_the_whole_network_and_training_is_too():
    run, plain = Run().fit(), Run()
    sources = batch_sources.Sources(Loader(0), Shard(0, 1))
    plain.parts = replace(plain.parts, frozen_body=None, split=replace(plain.parts.split, embedded=lambda _: None))
    plain.fit(data=batch_sources.training_data(plain.plan, sources))
    assert_close(run.weights, plain.weights)
    split = run.parts.split
    with run.parts.frozen_body:
        found = run.parts.evaluator.evaluate(replace(split, batches=lambda: split.batches_after(3))).predictions
    expected = run.parts.evaluator.evaluate(split).predictions
    assert found.ids == expected.ids
    np.testing.assert_allclose(found.logits, expected.logits, atol=1e-4)


def test_a_compiled_body_gives_the_same(monkeypatch):
    expected = Run().fit().weights
    monkeypatch.setattr(engine, "COMPILED_FROM", 1)
    run = Run().fit()
    assert_close(run.weights, expected)
    assert_equal(Run().fit().weights, run.weights)


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
            path.write_bytes(path.read_bytes()[:70])
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
    run, passes = computed(lambda: Run(*["data.cache_limit_gb=0"] * (broken == "no cache")).fit())
    assert_equal(run.weights, expected)
    assert passes == CHECKS + 3 * 16
    noted = capsys.readouterr().err.count("is not kept for the next run")
    assert noted == (0 if broken == "no cache" else 1)


def disk_full(*_):
    raise CannotWrite("no space left on device")


def test_from_the_unfreeze_epoch_on_the_whole_network_is_trained_from_waveforms():
    run = Run("train.unfreeze_epoch=3")
    before = run.weights
    snapshot = Run("train.unfreeze_epoch=3").stopped(after=7)
    batch = next(iter(run.parts.data.batches(3, 0)))
    assert (batch.is_embedded, batch.waveforms.shape) == (False, (4, RATE_HZ // 4))
    run.fit()
    assert_equal(Run("train.unfreeze_epoch=3", snapshot=snapshot).fit().weights, run.weights)
    until = run.snapshots[1].model
    np.testing.assert_array_equal(until["hidden.weight"], before["hidden.weight"])
    assert (run.weights["hidden.weight"] != before["hidden.weight"]).any()
    assert "frozen     body until epoch 3; computed once for each clip\n" in plan_table(run.plan)


def test_a_clip_that_is_longer_by_some_samples_is_read_from_its_start_and_computed_once():
    for number in range(8):
        sound(Path(f"sounds/low/{number}.wav"), 300 + 20 * number, number, duration_s=0.252)
    run, passes = computed(lambda: Run().fit())
    assert passes == CHECKS + 16 + 1
    assert "frozen     body; computed once for each clip\n" in plan_table(run.plan)


def test_a_crop_that_is_drawn_is_another_one_in_each_epoch_also_with_a_cached_start():
    for number in range(8):
        sound(Path(f"sounds/low/{number}.wav"), 300 + 20 * number, number, duration_s=0.6)
    run, passes = computed(lambda: Run().fit())
    low = sum("low" in clip.id for clip in run.plan.data.splits["train"].clips)
    steps = 3 * 3
    assert CHECKS + 16 - low < passes <= CHECKS + 16 - low + steps  # the drawn ones of a batch are computed together
    assert_equal(Run().fit().weights, run.weights)
    assert "in every epoch, since their crop is random" in plan_table(run.plan)
    with run.parts.frozen_body:
        first, second = (
            {
                name: vector
                for batch in run.parts.data.batches(epoch, 0)
                for name, vector in zip(batch.ids, batch.waveforms, strict=True)
            }
            for epoch in (1, 2)
        )
    for name in first:
        assert (first[name] == second[name]).all() == ("high" in name)


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("augment.gain={}", "clips differ each time by gain"),
        ("mixup.alpha=0.5", "clips differ each time by mixup"),
        ("train.spec_augment=true", "clips differ each time by SpecAugment"),
        ("train.group_by_length=true", "train.group_by_length pads a clip to the longest of its batch"),
    ],
)
def test_what_changes_clips_is_named_and_the_body_computed_in_every_step(override, reason):
    run = Run(override, "train.epochs=1")
    assert f"frozen     body; computed in every step: {reason}" in plan_table(run.plan)
    assert run.parts.frozen_body is None
    assert not next(iter(run.parts.data.batches(1, 0))).is_embedded
    run.fit()


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (
            "DroppingModel",
            "it has dropout or another random part before its head that freezing leaves on, such as inner",
        ),
        ("SoftModel", "something is computed after its head"),
        ("FrameModel", "its head does not get one vector a clip"),
        ("TwiceModel", "its head runs 2 times for a clip"),
    ],
)
def test_a_network_that_does_not_allow_it_is_trained_as_before(model, reason, capsys):
    run = Run("train.epochs=1", known=models(f"{__name__}:{model}")).fit()
    assert f"the frozen body is computed in every step: of the network, {reason}\n" in capsys.readouterr().out
    assert run.parts.frozen_body is None
    assert "train.freeze" not in plan_table(run.plan)


def test_other_stages_than_the_body_are_frozen_as_before():
    run = Run("train.freeze=[norm]", "train.epochs=1").fit()
    assert run.parts.frozen_body is None
    assert "frozen     norm\n" in plan_table(run.plan)


def test_a_bad_clip_is_listed_and_has_no_weight_and_a_changed_one_is_computed_again():
    first = Run().fit()
    clip = first.plan.data.splits["train"].clips[0]
    clip.source.write_bytes(b"RIFF")
    with pytest.raises(BadClip, match=clip.id):
        Run().fit()
    run, passes = computed(lambda: Run("data.on_bad_clip=skip").fit())
    assert passes == CHECKS + 1
    assert {clip.id in bad.wrong for bad in run.bad} == {True}
    assert_equal(Run("data.on_bad_clip=skip", "data.cache_limit_gb=0").fit().weights, run.weights)
    sound(clip.source, 1000, 99)
    changed, passes = computed(lambda: Run().fit())
    assert passes == CHECKS + 1 + 1
    assert_equal(Run("data.cache_limit_gb=0").fit().weights, changed.weights)
    assert (changed.weights["classifier.1.weight"] != first.weights["classifier.1.weight"]).any()


def test_a_batch_without_a_readable_clip_takes_part_in_its_step():
    for path in Path("sounds/high").iterdir():
        path.write_bytes(b"RIFF")
    run = Run("data.on_bad_clip=skip", "train.batch_size=2").fit()
    assert len({bad.wrong for bad in run.bad}) > 1


def test_an_embedding_that_is_not_finite_is_refused_and_not_kept(monkeypatch):
    monkeypatch.setattr(StillLayer, "level", float("nan"))
    run = Run()
    with pytest.raises(UserError, match=r"the network gives values that are not finite for clip '(high|low)/"):
        run.fit()
    assert packs(".arrays") == []


def test_embeddings_of_a_plugin_that_has_changed_since_are_noticed(capsys, monkeypatch):
    expected = Run().fit().weights
    shutil.rmtree("home")
    monkeypatch.setattr(StillLayer, "level", 2.0)
    Run().fit()
    monkeypatch.setattr(StillLayer, "level", 1.0)
    assert_equal(Run().fit().weights, expected)
    assert "embeddings in the cache are not those of this network" in capsys.readouterr().err


def test_clips_without_augmentation_are_cached_when_overfitting_and_when_drawn_by_class():
    for override in ("train.overfit_batches=2", "train.sampling=weighted"):
        run = Run(override).fit()
        assert_equal(Run(override, "data.cache_limit_gb=0").fit().weights, run.weights)
