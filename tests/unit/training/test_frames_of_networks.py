"""Steps of the shipped networks by frame: gradients, mixup, recomputation, and a frozen body."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import paddle
import pytest

from pannsdist.audio.batch_reading import read_batch
from pannsdist.audio.batches import Shard, TrainingPlan, clip_table
from pannsdist.audio.clip_reader import ClipReader
from pannsdist.audio.frame_targets import FrameGrid
from pannsdist.audio.mixup import Mixup
from pannsdist.contracts import Clip, Event, Samples, labels_of_events
from pannsdist.contracts.clip_lists import ClipList
from pannsdist.contracts.feature_augmentation import mixup
from pannsdist.contracts.network import Network
from pannsdist.distributed.fleet import SingleProcessWorld
from pannsdist.registry import Catalog
from pannsdist.training.optimization.freezing import Freezing, choose_stages, stages_of
from pannsdist.training.optimization.losses import EventLoss, TrainingLoss
from pannsdist.training.optimization.mean_teacher import Consistency
from pannsdist.training.optimization.recomputing import enable_recompute
from pannsdist.training.train_step import Learner, StepOptions

pytestmark = [
    pytest.mark.slow,
    # Paddle 3.3.1 says so in every forward pass of a batch norm in training.
    pytest.mark.filterwarnings("ignore:When training, we now always track global mean:UserWarning"),
]

RATE_HZ, SAMPLES, LABELS = 32000, 32000, ("cat", "dog")
NETWORKS = ("efficientat_mn01", "efficientat_mn10_fc", "panns_cnn6", "panns_mobilenetv2", "frame_mn04")
LOSS = EventLoss(TrainingLoss(True), 0.5)


class Constant:
    factor = 0.1

    def rate(self, step):  # noqa: ARG002
        return self.factor


class Made:
    """A network by frame with random weights, the same each time, and a learner of it."""

    def __init__(self, name, recompute=False, freeze=(), **options):
        catalog = Catalog.installed()
        model = catalog.models.find(name).load()
        plugin = model(model.Params())
        feature = catalog.features.find(plugin.feature).load()
        paddle.seed(3)
        layer = plugin.build_frames(LABELS, plugin.front_end, "attention")
        stages = stages_of(layer, plugin.head, getattr(plugin, "stages", None))
        freezing = Freezing(layer, stages, choose_stages(freeze, stages))
        self.recomputed = enable_recompute(layer, stages) if recompute else []
        self.head, frame_samples = plugin.head, plugin.frame_samples(plugin.front_end)
        self.network = Network(feature(feature.Params()).build(), layer, True, plugin.head, frame_samples)
        self.grid = FrameGrid.of(frame_samples, RATE_HZ, LABELS)
        optimizer = paddle.optimizer.SGD(
            Constant.factor, parameters=[p for p in layer.parameters() if not p.stop_gradient]
        )
        options = StepOptions(freezing=freezing, **options)
        self.schedule = Constant()
        self.learner = Learner(SingleProcessWorld(), self.network, LOSS, optimizer, self.schedule, options=options)

    def batch(self):
        """Four clips that are strongly, weakly and not labelled, each mixed with another."""
        plan = TrainingPlan(
            clip_table(ClipList.of(CLIPS), LABELS, True),
            *(4, 5, ClipReader(RATE_HZ, SAMPLES)),
            mixup=Mixup(0.5, "free", "features", 2),
            grid=self.grid,
        )
        return read_batch(next(plan.requests(1, Shard(0, 1))))

    def step(self, batch, number=1):
        return self.learner.step(batch, number, 4, seed=0)

    def loss(self, batch):
        with paddle.no_grad():
            kwargs = {name: paddle.to_tensor(array) for name, array in batch.model_kwargs.items() if len(array)}
            logits = self.network(paddle.to_tensor(batch.waveforms), **kwargs)
            return float(LOSS(logits, paddle.to_tensor(batch.targets)).mean())


def clip(number, kind):
    generator = np.random.default_rng(number)
    sound = generator.normal(0, 0.01, SAMPLES).astype(np.float32)
    sound[8000:20000] += 0.2 * np.sin(0.05 * (1 + number) * np.arange(12000)).astype(np.float32)
    events = (Event(0.25, 0.625, LABELS[number % 2]),) if kind == "strong" else None
    labels = labels_of_events(events) if events else ("dog",) if kind == "weak" else ()
    source, is_labelled = Samples(sound, RATE_HZ), kind != "nothing"
    return Clip(str(number), source, labels, duration_s=1.0, events=events, is_labelled=is_labelled)


CLIPS = [clip(number, kind) for number, kind in enumerate(("strong", "weak", "strong", "nothing"))]


def moved_from_zero(made):
    """In evaluation mode, with biases other than 0: there a ReLU has two slopes, and a random network many of them."""
    generator = np.random.default_rng(8)
    for parameter in made.network.model.parameters():
        if parameter.ndim == 1 and not parameter.stop_gradient:
            parameter.set_value(parameter + generator.normal(0, 0.2, parameter.shape).astype(np.float32))
    made.network.eval()
    return made


def differing(before, after):
    assert before.keys() == after.keys()
    return [name for name, array in before.items() if not np.array_equal(array, after[name])]


@pytest.mark.parametrize("name", NETWORKS)
def test_a_small_step_lowers_the_loss_by_what_the_gradient_says(name):
    made, again, fall = moved_from_zero(Made(name)), moved_from_zero(Made(name)), 1e-4
    batch = made.batch()
    assert np.isnan(batch.targets).any() and not np.isnan(batch.targets).all()
    before = made.loss(batch)
    outcome = made.step(batch)
    assert float(outcome.loss) / 4 == pytest.approx(before, rel=1e-5)
    again.schedule.factor = fall / outcome.gradient_norm**2
    again.step(batch)
    assert before - again.loss(batch) == pytest.approx(fall, rel=0.1)


def test_a_batch_is_mixed_before_the_network_and_so_are_the_targets_of_its_frames():
    made = Made("efficientat_mn01")
    made.network.eval()
    batch = replace(made.batch(), augment_noise=np.zeros((0, 0), np.float32))
    features = made.network.features(paddle.to_tensor(batch.waveforms))
    mixed = mixup(features, paddle.to_tensor(batch.partners), paddle.to_tensor(batch.mix_weights))
    weights = batch.mix_weights.reshape([-1, 1, 1, 1])
    by_hand = features.numpy() * weights + features.numpy()[batch.partners] * (1 - weights)
    np.testing.assert_allclose(mixed.numpy(), by_hand, rtol=1e-5, atol=1e-5)
    expected = LOSS(made.network.model(paddle.to_tensor(by_hand)), paddle.to_tensor(batch.targets)).mean()
    assert made.loss(batch) == pytest.approx(float(expected), rel=1e-4)


@pytest.mark.parametrize("name", NETWORKS)
def test_recomputation_changes_no_bit_of_two_steps(name):
    teaching = {"ema_decay": 0.9, "consistency": Consistency(1.0), "accumulate_steps": 2}
    plain, again = Made(name, **teaching), Made(name, recompute=True, **teaching)
    assert again.recomputed
    for made in (plain, again):
        made.network.train()
        before = made.network.arrays()
        assert [made.step(made.batch(), number).finite for number in (1, 2)] == [True, True]
        assert len(differing(before, made.network.arrays())) > 10
    assert differing(plain.network.arrays(), again.network.arrays()) == []


@pytest.mark.parametrize("name", NETWORKS)
def test_a_frozen_body_keeps_every_bit_while_the_head_of_frames_learns(name):
    made = Made(name, freeze=("body",), ema_decay=0.9, consistency=Consistency(1.0))
    made.network.train()
    before = made.network.arrays()
    for number in (1, 2):
        made.step(made.batch(), number)
    changed = differing(before, made.network.arrays())
    assert changed and all(tensor.startswith(f"{made.head}.") for tensor in changed), changed


def test_the_head_above_a_frozen_body_has_the_gradient_that_it_has_in_the_whole_network():
    frozen, whole = Made("efficientat_mn01", freeze=("body",)), Made("efficientat_mn01")
    batch = frozen.batch()
    for made in (frozen, whole):
        made.network.eval()
        made.step(batch)
    head = [{n: a for n, a in made.network.arrays().items() if n.startswith(made.head)} for made in (frozen, whole)]
    for name, array in head[0].items():
        np.testing.assert_allclose(array, head[1][name], rtol=0, atol=1e-6, err_msg=name)
