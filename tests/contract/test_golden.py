"""PANNs against the outputs of the original networks, from weight files as they are published."""

import numpy as np
import paddle
import pytest
from installed import CATALOG, built, opened

from pannsdist.weights import load_into, read_weights

NETWORKS = pytest.mark.parametrize("name", ["Cnn6", "Cnn10"])
CLASSES = 527


@pytest.fixture
def golden(shared, name):
    folder = shared / "golden"
    if not (folder / f"{name}_golden.npz").is_file():
        pytest.skip(f"the reference outputs of {name} are not there")
    with np.load(folder / f"{name}_golden.npz") as arrays:
        return {key: arrays[key] for key in arrays.files}, folder / f"{name}_golden.pth"


def loaded(name, weights, classes=CLASSES):
    entry = CATALOG.models.find(f"panns_{name.lower()}")
    network = built(entry, classes)
    report = load_into(network.model, read_weights(weights), head=entry.load().head)
    network.eval()
    return network, report


@NETWORKS
def test_probabilities_and_embedding_are_those_of_the_original(golden, name):
    reference, weights = golden
    network, report = loaded(name, weights)
    assert report.head == "kept"
    with paddle.no_grad():
        image = network.feature(paddle.to_tensor(reference["waveform"]))
        embedding = network.model.embed(image).numpy()
        probabilities = paddle.nn.functional.sigmoid(network.model(image)).numpy()
    np.testing.assert_allclose(probabilities, reference["clipwise_output"], atol=1e-5)
    assert np.abs(embedding - reference["embedding"]).max() <= 1e-5 * np.abs(reference["embedding"]).max()


@NETWORKS
def test_the_log_mel_is_that_of_the_original(golden):
    reference, _ = golden
    layer = opened(CATALOG.features.find("logmel")).build()
    logmel = layer(paddle.to_tensor(reference["waveform"])).numpy()[:, 0]
    expected = reference["logmel"].reshape(logmel.shape)
    difference, audible = np.abs(logmel - expected), expected > -80.0
    assert audible.any()
    assert difference[audible].max() <= 1e-3
    assert not (~audible).any() or difference[~audible].max() <= 1e-2


@NETWORKS
def test_a_head_of_other_classes_is_made_anew_and_the_rest_is_loaded(golden, name):
    reference, weights = golden
    network, report = loaded(name, weights, classes=10)
    assert report.head == f"remade ({CLASSES} -> 10 classes)"
    with paddle.no_grad():
        embedding = network.model.embed(network.feature(paddle.to_tensor(reference["waveform"][:1]))).numpy()
    assert np.abs(embedding - reference["embedding"][:1]).max() <= 1e-5 * np.abs(reference["embedding"]).max()
