"""A static graph trains and evaluates as operators one by one do, to the last bit."""

import numpy as np
import paddle
import pytest
from small_learner import assert_equal, batch, everything, learner, small
from small_parts import SmallModel
from small_run import Run

from pannsdist.contracts.feature_augmentation import AUGMENT_NOISE_SIZE
from pannsdist.contracts.network import Network
from pannsdist.registry import Catalog
from pannsdist.runtime.errors import SettingsError
from pannsdist.training.optimization.static_graph import enable_static_graph

NETWORKS = {"panns_cnn6": "logmel", "efficientat_mn01": "efficientat_mel"}


def trained(name, is_static):
    """Outputs, weights and statistics of three steps with dropout, masks and mixup, and of an evaluation."""
    paddle.seed(0)
    installed = Catalog.installed()
    feature_type, model_type = installed.features.find(NETWORKS[name]).load(), installed.models.find(name).load()
    feature = feature_type(feature_type.Params())
    model = model_type(model_type.Params()).build(("a", "b"), feature.front_end)
    if is_static:
        enable_static_graph(model)
    network = Network(feature.build(), model, spec_augment=True)
    optimizer = paddle.optimizer.AdamW(1e-3, parameters=model.parameters())
    found = {}
    for step in range(3):
        paddle.seed(step)
        random = np.random.default_rng(step)
        waveforms = paddle.to_tensor(random.normal(0, 0.1, (4, 12800)).astype("float32"))
        named = {
            "augment_noise": paddle.to_tensor(random.random((4, AUGMENT_NOISE_SIZE), "float32")),
            "partners": paddle.to_tensor([2, 3]),
            "mix_weights": paddle.to_tensor([0.3, 0.6]),
        }
        network.train()
        logits = network(waveforms, **named)
        paddle.nn.functional.cross_entropy(logits, paddle.arange(len(logits)) % 2).backward()
        optimizer.step()
        optimizer.clear_grad()
        found[f"logits {step}"] = logits.numpy()
    network.eval()
    with paddle.no_grad():
        found["evaluated"] = network(waveforms).numpy()
    return found | network.arrays()


@pytest.mark.parametrize("name", ["panns_cnn6", pytest.param("efficientat_mn01", marks=pytest.mark.long)])
def test_a_network_trains_and_evaluates_as_without_a_graph(name):
    expected, found = (trained(name, is_static) for is_static in (False, True))
    assert len(expected) > 20
    assert_equal(found, expected)


def test_the_forward_pass_is_a_graph_and_the_names_of_the_weights_stay():
    made = learner(layer=small)
    names = list(made.network.arrays())
    enable_static_graph(made.network.model)
    assert "StaticFunction" in type(made.network.model.forward._forward).__name__
    assert list(made.network.arrays()) == names


def test_a_bad_step_changes_nothing_in_a_graph():
    made = learner(layer=small, optimizer="AdamW", is_asynchronous=True)
    enable_static_graph(made.network.model)
    made.network.train()
    made.step(batch(), 1, 4, seed=0)
    before, bad = everything(made), batch()
    bad.waveforms[0, 100] = np.nan
    assert not made.step(bad, 2, 4, seed=0).finite
    assert_equal(everything(made), before)


def test_a_run_with_a_graph_is_that_without_it(tmp_path):
    settings = ("train.epochs=2", "train.cpu_kernels=paddle", "train.freeze=[norm]")
    plain, static = (Run(tmp_path, *settings, f"train.to_static={value}").fit() for value in ("false", "true"))
    assert_equal(static.last.model, plain.last.model)
    assert_equal(static.last.optimizer, plain.last.optimizer)
    assert static.last.progress.scores == plain.last.progress.scores


class Unconvertible(paddle.nn.Layer):
    """Its pass fails while a graph is made of it, where a tensor has no memory."""

    def __init__(self):
        super().__init__()
        self.classifier = paddle.nn.Linear(16, 2)

    def forward(self, image):
        return self.classifier(image.mean(axis=[1, 2]) + image.data_ptr() * 0)


def test_a_model_that_is_no_graph_is_refused_with_a_sentence():
    made = learner(layer=Unconvertible)
    enable_static_graph(made.network.model)
    with pytest.raises(SettingsError, match="and the first pass of the model failed: ") as error:
        made.step(batch(), 1, 4, seed=0)
    assert "train.to_static=false" in str(error.value)


def test_the_kernels_of_another_library_are_refused(tmp_path, monkeypatch):
    from pannsdist.kernels import choice

    monkeypatch.setattr(choice, "choose", lambda *_: choice.Choice("onednn", "float32", "as on a processor with AVX2"))
    with pytest.raises(SettingsError, match="=auto takes the kernels of oneDNN"):
        Run(tmp_path, "train.to_static=true")


def test_a_model_that_does_not_say_so_is_refused(tmp_path, monkeypatch):
    """It may draw numbers on the host, which a graph would repeat in every step."""
    monkeypatch.setattr(SmallModel, "static_graph", False, raising=False)
    with pytest.raises(SettingsError, match="does not say that a static graph computes the same"):
        Run(tmp_path, "train.to_static=true")
