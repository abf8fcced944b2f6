"""Activation recomputation: the same gradients and dropout, running statistics updated once."""

import numpy as np
import paddle
import pytest
from paddle import nn

from pannsdist.runtime.errors import SettingsError
from pannsdist.training.optimization.freezing import Stage, stages_of
from pannsdist.training.optimization.recomputing import enable_recompute


class Deep(nn.Layer):
    """Blocks with batch norm and dropout, some of them in a list, and a head."""

    def __init__(self):
        super().__init__()
        self.low = self._block(4)
        self.list = nn.LayerList([self._block(6), self._block(6)])
        self.head = nn.Linear(6, 3)
        self.runs = 0

    @staticmethod
    def _block(inputs):
        return nn.Sequential(nn.Linear(inputs, 6), nn.BatchNorm1D(6), nn.ReLU(), nn.Dropout(0.5))

    def forward(self, rows):
        rows = self.low(rows)
        for block in self.list:
            rows = block(rows)
        return self.head(rows)


def trained(recompute, train=True):
    """Gradients, statistics, and a number drawn after backward."""
    paddle.seed(0)
    layer = Deep()
    if recompute:
        assert enable_recompute(layer, stages_of(layer, "head")) == ["low", "list.0", "list.1"]
    layer.train() if train else layer.eval()
    calls = []
    layer.low[0].register_forward_post_hook(lambda *_: calls.append(1))
    paddle.seed(1)
    rows = paddle.to_tensor(np.random.default_rng(0).normal(size=(16, 4)).astype(np.float32))
    layer(rows).square().sum().backward()
    assert len(calls) == (2 if recompute else 1)
    gradients = {name: p.grad.numpy() for name, p in layer.named_parameters() if p.grad is not None}
    return {
        **gradients,
        **{name: tensor.numpy() for name, tensor in layer.state_dict().items() if "._" in name},
        "drawn": paddle.rand([3]).numpy(),
    }


@pytest.mark.parametrize("train", [True, False])
def test_recomputation_changes_neither_gradients_nor_statistics(train):
    plain, again = trained(False, train), trained(True, train)
    assert plain.keys() == again.keys()
    for name in plain:
        np.testing.assert_array_equal(again[name], plain[name], err_msg=name)


def test_an_evaluation_computes_everything_once():
    layer = Deep()
    enable_recompute(layer, stages_of(layer, "head"))
    calls = []
    layer.low[0].register_forward_post_hook(lambda *_: calls.append(1))
    with paddle.no_grad():
        layer(paddle.zeros([2, 4]))
    assert len(calls) == 1


def test_recomputation_prints_no_warning(capfd):
    trained(True)
    out, err = capfd.readouterr()
    assert "ecompute" not in out + err


def test_a_stage_within_another_is_recomputed_once_with_it():
    """As a head that is the last of the layers of a stage, and has layers of its own."""
    layer = nn.Sequential(nn.Linear(2, 4), nn.Sequential(nn.ReLU(), nn.Sequential(nn.Linear(4, 2), nn.ReLU())))
    rows = paddle.to_tensor(np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32))
    layer(rows).square().sum().backward()
    expected = [parameter.grad.numpy() for parameter in layer.parameters()]
    layer.clear_gradients()
    assert enable_recompute(layer, [Stage("1", ("1",)), Stage("head", ("1.1",))]) == ["1"]
    layer(rows).square().sum().backward()
    for parameter, gradient in zip(layer.parameters(), expected, strict=True):
        np.testing.assert_array_equal(parameter.grad.numpy(), gradient)


def test_a_model_without_sublayers_is_refused():
    layer = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    with pytest.raises(SettingsError, match=r"train\.recompute has no effect"):
        enable_recompute(layer, stages_of(layer, "1"))
