"""What an optimizer keeps to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import paddle

from pannsdist.devkit.checking import Check, Cost, Subject, require
from pannsdist.devkit.two_processes import named, train_a_step
from pannsdist.registry.building import Part
from pannsdist.run.planning.training_plugins import built_optimizer
from pannsdist.training.optimization.optimizers import optimizer_arrays, restore_optimizer

SHAPES = {"vector": [5], "matrix": [4, 3], "volume": [2, 3, 4], "kernel": [2, 3, 2, 2]}
"""Parameters of one to four axes, as layers have them."""
RATES = (0.1, 0.01, 0.001)
STEPS = 60
MODEL, RATE_HZ, SHORTEST_SAMPLES = "pannsdist:panns_cnn6", 32000, 16000
"""What two processes train with it."""


class Bowl(paddle.nn.Layer):
    """A quadratic: the sum of squares of all parameters, which are 1 or -1 at first."""

    def __init__(self) -> None:
        super().__init__()
        for number, (name, shape) in enumerate(SHAPES.items()):
            signs = np.random.default_rng(number).choice([-1.0, 1.0], shape).astype(np.float32)
            initial = paddle.nn.initializer.Assign(signs)
            self.add_parameter(name, self.create_parameter(shape, default_initializer=initial))

    def forward(self) -> paddle.Tensor:
        """Half the sum of squares: the gradient of a parameter is the parameter itself."""
        return 0.5 * paddle.add_n([parameter.square().sum() for parameter in self.parameters()])

    def arrays(self) -> dict[str, np.ndarray]:
        """Copies of the parameters by name."""
        return {name: parameter.numpy().copy() for name, parameter in self.named_parameters()}


def it_builds_an_optimizer_of_just_the_parameters_that_it_is_given(subject: Subject) -> str:
    """One of Paddle's kind, whose rate can be set, that clips nothing by itself."""
    built = _built(subject, Bowl())
    return f"{type(built).__name__} of {len(SHAPES)} parameters"


def it_goes_down_a_quadratic(subject: Subject) -> str:
    """To less than half of where it began, at one of three learning rates."""
    reached = {}
    for rate in RATES:
        bowl = Bowl()
        begun = float(bowl())
        _stepped(bowl, _built(subject, bowl, rate), [rate] * STEPS)
        reached[rate] = float(bowl()) / begun
    best = min(reached, key=lambda rate: reached[rate])
    said = f"{reached[best]:.2g} of the loss is left after {STEPS} steps at {best}"
    require(reached[best] < 0.5, f"at the best of {', '.join(map(str, RATES))}: {said}")
    return said


def it_moves_float32_parameters_of_one_to_four_axes(subject: Subject) -> str:
    """Each by its own gradient, and they stay float32, of the same shape and finite."""
    bowl = Bowl()
    before = bowl.arrays()
    _stepped(bowl, _built(subject, bowl), [RATES[0]] * 3)
    for name, parameter in bowl.named_parameters():
        after = parameter.numpy()
        require(after.dtype == np.float32, f"the {name} becomes {after.dtype}")
        require(after.shape == before[name].shape, f"the {name} {before[name].shape} becomes {after.shape}")
        require(np.isfinite(after).all(), f"the {name} becomes NaN or infinite")
        require(not np.array_equal(after, before[name]), f"the {name} stays where it is")
    return ", ".join(SHAPES)


def a_frozen_parameter_stays_until_it_is_thawed(subject: Subject) -> str:
    """As train.freeze and train.unfreeze_epoch have it; a parameter that is not given is never moved."""
    bowl = Bowl()
    before, frozen = bowl.arrays(), bowl.matrix
    bowl.kernel.stop_gradient = True
    optimizer = _built(subject, bowl)
    frozen.stop_gradient = True
    _stepped(bowl, optimizer, [RATES[0]] * 2)
    stays = np.array_equal(frozen.numpy(), before["matrix"])
    require(stays, "it moves a parameter that is frozen and has no gradient")
    frozen.stop_gradient = False
    _stepped(bowl, optimizer, [RATES[0]] * 2)
    require(not np.array_equal(frozen.numpy(), before["matrix"]), "a parameter that was frozen never moves again")
    require(np.array_equal(bowl.kernel.numpy(), before["kernel"]), "it moves a parameter that it was not given")
    return "frozen, thawed, not given"


def a_restart_in_the_middle_changes_nothing(subject: Subject) -> str:
    """Bit by bit: all that it remembers is in Paddle's accumulators."""
    rates = [RATES[0] / (1 + step) for step in range(6)]
    straight, first, second = Bowl(), Bowl(), Bowl()
    _stepped(straight, _built(subject, straight), rates)
    optimizer = _built(subject, first)
    _stepped(first, optimizer, rates[:3])
    state = optimizer_arrays(optimizer, first)
    second.set_state_dict(first.arrays())
    restarted = _built(subject, second)
    restore_optimizer(restarted, second, state)
    _stepped(second, restarted, rates[3:])
    odd = [name for name, array in straight.arrays().items() if not np.array_equal(array, second.arrays()[name])]
    require(not odd, f"other numbers in {', '.join(odd)}: something that it remembers is in no accumulator")
    return f"{len(state)} tensors of state"


def at_a_learning_rate_of_zero_nothing_moves(subject: Subject) -> str:
    """As at the end of a schedule."""
    bowl = Bowl()
    before = bowl.arrays()
    _stepped(bowl, _built(subject, bowl), [0.0] * 3)
    odd = [name for name, array in bowl.arrays().items() if not np.array_equal(array, before[name])]
    require(not odd, f"{', '.join(odd)} moves all the same")
    return "3 steps"


def a_learning_rate_that_is_set_anew_is_heeded(subject: Subject) -> str:
    """A tenth of the rate moves less, in the very next step."""
    moved = []
    for last in (RATES[1], RATES[1] / 10):
        bowl = Bowl()
        optimizer = _built(subject, bowl, RATES[1])
        _stepped(bowl, optimizer, [RATES[1]])
        before = bowl.arrays()
        _stepped(bowl, optimizer, [last])
        moved.append(max(float(np.abs(array - before[name]).max()) for name, array in bowl.arrays().items()))
    require(moved[1] < moved[0], f"{moved[0]:.3g} at {RATES[1]}, and {moved[1]:.3g} at a tenth of it")
    return f"{moved[0]:.3g} and {moved[1]:.3g}"


def a_parameters_own_share_of_the_rate_is_heeded(subject: Subject) -> str:
    """What optimizer.layer_decay and optimizer.head_lr_factor set: `optimize_attr`, which `_create_param_lr` knows."""
    bowl = Bowl()
    before = bowl.arrays()
    bowl.vector.optimize_attr["learning_rate"] = 0.0
    _stepped(bowl, _built(subject, bowl), [RATES[0]])
    stays = np.array_equal(bowl.vector.numpy(), before["vector"])
    require(stays, "a parameter with a share of 0 moves: take the rate from self._create_param_lr(param_and_grad)")
    require(not np.array_equal(bowl.matrix.numpy(), before["matrix"]), "the others do not move")
    return "a share of 0 and of 1"


def two_processes_train_a_step_with_it(subject: Subject) -> str:
    """Under Paddle's launcher, on generated sounds, and a model folder comes of it."""
    return train_a_step({"model": {"name": MODEL}, "optimizer": named(subject)}, RATE_HZ, SHORTEST_SAMPLES)


def _built(subject: Subject, bowl: Bowl, rate: float = RATES[0]) -> Any:
    """An optimizer of the parameters that are not frozen, as a run builds it."""
    return built_optimizer(Part(subject.entry, subject.params(), subject.opened()), rate, bowl)


def _stepped(bowl: Bowl, optimizer: Any, rates: Sequence[float]) -> None:
    """A step at each of these learning rates."""
    for rate in rates:
        optimizer.set_lr(rate)
        bowl().backward()
        optimizer.step()
        optimizer.clear_grad()


CHECKS = (
    Check(it_builds_an_optimizer_of_just_the_parameters_that_it_is_given, Cost.COMPUTES),
    Check(it_goes_down_a_quadratic, Cost.COMPUTES),
    Check(it_moves_float32_parameters_of_one_to_four_axes, Cost.COMPUTES),
    Check(a_frozen_parameter_stays_until_it_is_thawed, Cost.COMPUTES),
    Check(a_restart_in_the_middle_changes_nothing, Cost.COMPUTES),
    Check(at_a_learning_rate_of_zero_nothing_moves, Cost.COMPUTES),
    Check(a_learning_rate_that_is_set_anew_is_heeded, Cost.COMPUTES),
    Check(a_parameters_own_share_of_the_rate_is_heeded, Cost.COMPUTES),
    Check(two_processes_train_a_step_with_it, Cost.LAUNCHES),
)
