"""Conformance checks of optimizers."""

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
"""Parameters of one to four axes, as in common layers."""
RATES = (0.1, 0.01, 0.001)
STEPS = 60
MODEL, RATE_HZ, SHORTEST_SAMPLES = "pannsdist:panns_cnn6", 32000, 16000
"""The model trained on two processes."""


class Bowl(paddle.nn.Layer):
    """A quadratic: half the sum of squares of all parameters, which start at 1 or -1."""

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


def it_optimizes_only_the_given_parameters(subject: Subject) -> str:
    """A `paddle.optimizer.Optimizer` over the given parameters, with `set_lr` and without gradient clipping."""
    built = _built(subject, Bowl())
    return f"{type(built).__name__} of {len(SHAPES)} parameters"


def it_minimizes_a_quadratic(subject: Subject) -> str:
    """To less than half of the initial loss, at one of three learning rates."""
    reached = {}
    for rate in RATES:
        bowl = Bowl()
        initial = float(bowl())
        _stepped(bowl, _built(subject, bowl, rate), [rate] * STEPS)
        reached[rate] = float(bowl()) / initial
    best = min(reached, key=lambda rate: reached[rate])
    result = f"the loss falls to {reached[best]:.2g} of the initial one after {STEPS} steps at {best}"
    require(reached[best] < 0.5, f"at the best of {', '.join(map(str, RATES))}: {result}")
    return result


def it_updates_float32_parameters_of_one_to_four_axes(subject: Subject) -> str:
    """Each is updated, and stays float32, finite and of the same shape."""
    bowl = Bowl()
    before = bowl.arrays()
    _stepped(bowl, _built(subject, bowl), [RATES[0]] * 3)
    for name, parameter in bowl.named_parameters():
        after = parameter.numpy()
        require(after.dtype == np.float32, f"the {name} becomes {after.dtype}")
        require(after.shape == before[name].shape, f"the {name} {before[name].shape} becomes {after.shape}")
        require(np.isfinite(after).all(), f"the {name} becomes NaN or infinite")
        require(not np.array_equal(after, before[name]), f"the {name} is not updated")
    return ", ".join(SHAPES)


def a_frozen_parameter_is_unchanged_until_it_is_unfrozen(subject: Subject) -> str:
    """As with train.freeze and train.unfreeze_epoch; a parameter that was not given is never updated."""
    bowl = Bowl()
    before, frozen = bowl.arrays(), bowl.matrix
    bowl.kernel.stop_gradient = True
    optimizer = _built(subject, bowl)
    frozen.stop_gradient = True
    _stepped(bowl, optimizer, [RATES[0]] * 2)
    unchanged = np.array_equal(frozen.numpy(), before["matrix"])
    require(unchanged, "it updates a frozen parameter without a gradient")
    frozen.stop_gradient = False
    _stepped(bowl, optimizer, [RATES[0]] * 2)
    require(not np.array_equal(frozen.numpy(), before["matrix"]), "an unfrozen parameter is not updated")
    require(np.array_equal(bowl.kernel.numpy(), before["kernel"]), "it updates a parameter that it was not given")
    return "frozen, unfrozen, not given"


def resuming_from_its_state_is_exact(subject: Subject) -> str:
    """Bit-exact: its whole state is in Paddle's accumulators."""
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
    differing = [name for name, array in straight.arrays().items() if not np.array_equal(array, second.arrays()[name])]
    require(not differing, f"other values in {', '.join(differing)}: some state is in no accumulator")
    return f"{len(state)} tensors of state"


def a_learning_rate_of_zero_changes_nothing(subject: Subject) -> str:
    """As at the end of some schedules."""
    bowl = Bowl()
    before = bowl.arrays()
    _stepped(bowl, _built(subject, bowl), [0.0] * 3)
    updated = [name for name, array in bowl.arrays().items() if not np.array_equal(array, before[name])]
    require(not updated, f"{', '.join(updated)} is updated all the same")
    return "3 steps"


def a_new_learning_rate_takes_effect_in_the_next_step(subject: Subject) -> str:
    """After `set_lr` to a tenth, the next step is smaller."""
    changes = []
    for last in (RATES[1], RATES[1] / 10):
        bowl = Bowl()
        optimizer = _built(subject, bowl, RATES[1])
        _stepped(bowl, optimizer, [RATES[1]])
        before = bowl.arrays()
        _stepped(bowl, optimizer, [last])
        changes.append(max(float(np.abs(array - before[name]).max()) for name, array in bowl.arrays().items()))
    require(changes[1] < changes[0], f"a step of {changes[0]:.3g} at {RATES[1]}, and {changes[1]:.3g} at a tenth of it")
    return f"{changes[0]:.3g} and {changes[1]:.3g}"


def the_learning_rate_factor_of_a_parameter_is_applied(subject: Subject) -> str:
    """`optimize_attr`, set by optimizer.layer_decay and optimizer.head_lr_factor, is applied by `_create_param_lr`."""
    bowl = Bowl()
    before = bowl.arrays()
    bowl.vector.optimize_attr["learning_rate"] = 0.0
    _stepped(bowl, _built(subject, bowl), [RATES[0]])
    unchanged = np.array_equal(bowl.vector.numpy(), before["vector"])
    require(unchanged, "a parameter of factor 0 is updated: use the rate of self._create_param_lr(param_and_grad)")
    require(not np.array_equal(bowl.matrix.numpy(), before["matrix"]), "the other parameters are not updated")
    return "factors 0 and 1"


def it_trains_one_step_on_two_processes(subject: Subject) -> str:
    """Through Paddle's launcher, on generated clips; a model folder is written."""
    return train_a_step({"model": {"name": MODEL}, "optimizer": named(subject)}, RATE_HZ, SHORTEST_SAMPLES)


def _built(subject: Subject, bowl: Bowl, rate: float = RATES[0]) -> Any:
    """An optimizer of the trainable parameters, built as in a run."""
    return built_optimizer(Part(subject.entry, subject.params(), subject.plugin()), rate, bowl)


def _stepped(bowl: Bowl, optimizer: Any, rates: Sequence[float]) -> None:
    """Make one step at each of these learning rates."""
    for rate in rates:
        optimizer.set_lr(rate)
        bowl().backward()
        optimizer.step()
        optimizer.clear_grad()


CHECKS = (
    Check(it_optimizes_only_the_given_parameters, Cost.COMPUTES),
    Check(it_minimizes_a_quadratic, Cost.COMPUTES),
    Check(it_updates_float32_parameters_of_one_to_four_axes, Cost.COMPUTES),
    Check(a_frozen_parameter_is_unchanged_until_it_is_unfrozen, Cost.COMPUTES),
    Check(resuming_from_its_state_is_exact, Cost.COMPUTES),
    Check(a_learning_rate_of_zero_changes_nothing, Cost.COMPUTES),
    Check(a_new_learning_rate_takes_effect_in_the_next_step, Cost.COMPUTES),
    Check(the_learning_rate_factor_of_a_parameter_is_applied, Cost.COMPUTES),
    Check(it_trains_one_step_on_two_processes, Cost.LAUNCHES),
)
