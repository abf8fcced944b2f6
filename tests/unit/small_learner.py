"""A learner of a tiny network without any run around it, and what it holds."""

import numpy as np
import paddle
from plain_losses import cross_entropy
from small_parts import FEATURE_PARAMS, SmallLayer

from pannsdist.builtin.logmel import LogMel, LogMelParams
from pannsdist.contracts.batch import Batch
from pannsdist.contracts.network import Network
from pannsdist.distributed.fleet import SingleProcessWorld
from pannsdist.training.optimization.optimizers import build_optimizer
from pannsdist.training.optimization.schedules import Schedule
from pannsdist.training.train_step import Learner, StepOptions

RATE = 0.5


class Plain(paddle.nn.Layer):
    """The mean over time, and a linear layer without randomness."""

    def __init__(self):
        super().__init__()
        self.classifier = paddle.nn.Linear(16, 2)

    def forward(self, image):
        return self.classifier(0.01 * image.mean(axis=[1, 2]))


def learner(loss=cross_entropy, layer=Plain, optimizer="SGD", params=None, is_asynchronous=False, **options):
    """`is_asynchronous`: as on a GPU, where the device decides whether a step takes place."""
    paddle.seed(0)
    world = SingleProcessWorld()
    world.is_asynchronous = is_asynchronous
    network = Network(LogMel(LogMelParams(**FEATURE_PARAMS)).build(), layer())
    schedule = Schedule("constant", RATE, total_steps=9, warmup_steps=2)
    made = build_optimizer(optimizer, params or {}, RATE, network.model)
    return Learner(world, network, loss, made, schedule, options=StepOptions(**options))


def small():
    return SmallLayer(16, 2)


def everything(made):
    return {**made.network.arrays(), **made.state()}


def assert_equal(left, right):
    assert left.keys() == right.keys()
    for name in left:
        np.testing.assert_array_equal(left[name], right[name], err_msg=name)


def batch(clips=4):
    waveforms = np.random.default_rng(0).normal(0, 0.1, (clips, 2000)).astype(np.float32)
    return Batch(tuple(map(str, range(clips))), waveforms, np.arange(clips) % 2)
