"""Stages of a network, freezing, and learning rate factors."""

import numpy as np
import paddle
import pytest
from paddle import nn

from pannsdist.runtime.errors import BrokenPlugin, SettingsError
from pannsdist.training.optimization.freezing import (
    Freezing,
    apply_lr_factors,
    choose_stages,
    reported_lr_factors,
    stage_lr_factors,
    stage_of,
    stages_of,
)
from pannsdist.training.optimization.optimizers import build_optimizer, optimizer_arrays


class Tower(nn.Layer):
    """Two blocks, a parameter of its own, a head inside a row, and a norm that is never trained."""

    def __init__(self):
        super().__init__()
        self.token = self.create_parameter([2])
        self.low = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1D(2), nn.Dropout(0.5))
        self.high = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1D(2))
        self.silent = nn.Linear(2, 2)
        for parameter in self.silent.parameters():
            parameter.stop_gradient = True
        self.top = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 3))

    def forward(self, rows):
        return self.top(self.high(self.low(rows + self.token)))


HEAD = "top.2"
NAMES = ["token", "low", "high", "silent", "top", "top.2"]


def made(frozen=(), unfreeze_epoch=None):
    layer = Tower()
    stages = stages_of(layer, HEAD)
    return layer, Freezing(layer, stages, choose_stages(frozen, stages), unfreeze_epoch)


def still(layer):
    return {name for name, parameter in layer.named_parameters() if parameter.stop_gradient} - {
        name for name, parameter in layer.named_parameters() if name.endswith(("_mean", "_variance"))
    }


def test_stages_are_the_top_level_parts_from_the_input_to_the_head():
    stages = stages_of(Tower(), HEAD)
    assert [stage.name for stage in stages] == NAMES
    assert stage_of("top.0.weight", stages).name == "top"
    assert stage_of("top.2.weight", stages).name == "top.2"
    assert stage_of("topping.weight", stages) is None


def test_a_model_may_declare_its_stages():
    stages = stages_of(Tower(), HEAD, {"stem": ("token", "low"), "rest": ("high", "silent", "top"), "out": (HEAD,)})
    assert [stage.name for stage in stages] == ["stem", "rest", "out"]
    assert stage_of("low.1.weight", stages).name == "stem"


def test_a_declaration_that_leaves_a_parameter_out_is_refused():
    with pytest.raises(BrokenPlugin, match="leave out 1 parameters, such as token"):
        stages_of(Tower(), HEAD, {"all": ("low", "high", "silent", "top")})


def test_an_unknown_stage_is_refused_with_the_nearest():
    with pytest.raises(SettingsError) as caught:
        choose_stages(["hihg"], stages_of(Tower(), HEAD))
    assert str(caught.value).startswith("unknown stage 'hihg' in train.freeze\n  closest: high.  stages of the model:")


def test_the_body_is_everything_but_the_head_and_not_all_can_be_frozen():
    stages = stages_of(Tower(), HEAD)
    assert [stage.name for stage in choose_stages(["body"], stages)] == NAMES[:-1]
    with pytest.raises(SettingsError, match="names every stage"):
        choose_stages(["body", HEAD], stages)


def test_what_is_frozen_is_a_function_of_the_epoch():
    layer, freezing = made(["low"], unfreeze_epoch=3)
    silent = {"silent.weight", "silent.bias"}
    assert still(layer) == silent
    for epoch, frozen in ((1, True), (2, True), (3, False), (4, False), (1, True)):
        freezing.set_epoch(epoch)
        low = {"low.0.weight", "low.0.bias", "low.1.weight", "low.1.bias"}
        assert still(layer) == (silent | low if frozen else silent), epoch


def test_set_epoch_returns_whether_anything_changed():
    _, freezing = made(["low"], unfreeze_epoch=3)
    assert [freezing.set_epoch(epoch) for epoch in (1, 2, 3, 4)] == [True, False, True, False]
    assert not made()[1].set_epoch(1)


def test_frozen_sublayers_stay_in_eval_mode_after_train_is_called():
    layer, freezing = made(["low"], unfreeze_epoch=2)
    freezing.set_epoch(1)
    layer.train()
    freezing.keep_frozen_in_eval_mode()
    assert not any(part.training for part in layer.low.sublayers(include_self=True))
    assert all(part.training for part in (layer.high, layer.high[1], layer.top))
    freezing.set_epoch(2)
    freezing.keep_frozen_in_eval_mode()
    assert all(part.training for part in layer.low.sublayers(include_self=True))


def test_permanently_frozen_parameters_are_not_in_the_optimizer_and_unfrozen_ones_are_from_the_start():
    for unfreeze_epoch, expected in ((None, False), (2, True)):
        layer, _ = made(["low"], unfreeze_epoch)
        names = optimizer_arrays(build_optimizer("Momentum", {}, 0.1, layer), layer)
        assert ("low.0.weight/velocity" in names) == expected
        assert "high.0.weight/velocity" in names


@pytest.mark.parametrize("name", ["SGD", "Momentum", "AdamW", "Adam", "RMSProp"])
def test_each_stage_learns_at_its_learning_rate_factor(name):
    scales = {"token": 1.0, "low": 0.25, "high": 0.5, "silent": 1.0, "top": 1.0, "top.2": 2.0}
    params = {"weight_decay": 0.0} if name == "AdamW" else {}
    moved = []
    for applied in (scales, dict.fromkeys(scales, 1.0)):
        paddle.seed(0)
        layer = Tower()
        apply_lr_factors(layer, stages_of(layer, HEAD), applied)
        optimizer = build_optimizer(name, params, 0.01, layer)
        before = {key: tensor.numpy() for key, tensor in layer.named_parameters()}
        paddle.seed(1)
        layer(paddle.to_tensor(np.arange(8, dtype=np.float32).reshape(4, 2))).square().sum().backward()
        optimizer.step()
        moved.append({key: tensor.numpy() - before[key] for key, tensor in layer.named_parameters()})
    stages = stages_of(Tower(), HEAD)
    for key, change in moved[1].items():
        if not key.endswith(("_mean", "_variance")):
            share = scales[stage_of(key, stages).name]
            np.testing.assert_allclose(moved[0][key], share * change, rtol=2e-3, atol=1e-7, err_msg=key)


def test_rates_decay_from_the_head_down():
    stages = stages_of(Tower(), HEAD)
    scales = stage_lr_factors(stages, 0.5, 3.0)
    assert list(scales.items())[-3:] == [("silent", 0.25), ("top", 0.5), ("top.2", 3.0)]


def test_rates_are_grouped_as_they_differ():
    stages = stages_of(Tower(), HEAD)
    assert reported_lr_factors(stage_lr_factors(stages, 1.0, 1.0), HEAD) == {"all": 1.0}
    assert reported_lr_factors(stage_lr_factors(stages, 1.0, 5.0), HEAD) == {"body": 1.0, "head": 5.0}
    assert list(reported_lr_factors(stage_lr_factors(stages, 0.5, 1.0), HEAD)) == NAMES


def test_what_its_owner_froze_is_in_evaluation_mode_after_unfreezing_too():
    layer = Tower()
    layer.low[1].eval()
    stages = stages_of(layer, HEAD)
    freezing = Freezing(layer, stages, choose_stages(["low"], stages), unfreeze_epoch=2)
    for epoch, linear in ((1, False), (2, True), (1, False), (2, True)):
        freezing.set_epoch(epoch)
        freezing.keep_frozen_in_eval_mode()
        assert (layer.low[0].training, layer.low[1].training, layer.high.training) == (linear, False, True)


def test_what_is_frozen_in_a_network_in_evaluation_mode_is_trained_after_unfreezing():
    """In evaluation mode no part was put there by its owner."""
    layer = Tower()
    layer.eval()
    stages = stages_of(layer, HEAD)
    freezing = Freezing(layer, stages, choose_stages(["low"], stages), unfreeze_epoch=2)
    freezing.set_epoch(1)
    layer.train()
    freezing.keep_frozen_in_eval_mode()
    assert not layer.low[1].training
    freezing.set_epoch(2)
    assert all(part.training for part in layer.sublayers(include_self=True))
