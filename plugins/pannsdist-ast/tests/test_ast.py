"""The Audio Spectrogram Transformer held against another implementation of it, from files as they are published."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata

import numpy as np
import paddle
import pannsdist_ast as plugin
import pytest
from ast_reference import CASES, FILE, waveform, weights_of
from pannsdist_ast.network import Ast, Grid
from pannsdist_kaldi_fbank import FbankParams, KaldiFbank

from pannsdist.contracts import FrontEnd, UserError
from pannsdist.inference.engines.onnx_runtime import convert_to_onnx, load_onnx, require_onnx
from pannsdist.weights import load_into, read_weights
from pannsdist.weights.conversion import convert
from pannsdist.weights.formats.writing import write_weights

MODELS = {192: plugin.AstTiny, 384: plugin.AstSmall, 768: plugin.AstBase}


@pytest.fixture(scope="module")
def reference():
    with np.load(FILE) as arrays:
        return dict(arrays)


def network_of(case, classes=None, padded_frames=0):
    """As the plugin builds it; sizes that no plugin has are built of its parts."""
    params = plugin.AstParams(*case.strides, case.frames, padded_frames)
    labels = [str(number) for number in range(classes or case.classes)]
    if case.width in MODELS:
        model = MODELS[case.width](params)
        network = model.build(labels, model.front_end)
    else:
        front_end = FrontEnd("any", 16000, 400, 160, 512, case.bins, 0.0, 8000.0)
        size = plugin.Size(case.width, case.heads, case.depth)
        network = Ast(size, Grid.of(params, front_end), len(labels))
    network.eval()
    return network


def published(case, folder):
    """A file of weights by rule as the original's `torch.save` would leave it."""
    path = folder / "published.pth"
    write_weights(path, weights_of(case))
    return path


def loaded(case, folder, **options):
    network = network_of(case, **options)
    report = load_into(network, read_weights(published(case, folder)), head="mlp_head")
    return network, report


def logits(network, features):
    with paddle.no_grad():
        return network(paddle.to_tensor(features)[:, None]).numpy()


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.long] if name == "base" else []) for name in CASES]
)
def test_a_network_gives_the_numbers_of_the_other_implementation(name, reference, tmp_path):
    network, report = loaded(CASES[name], tmp_path)
    assert report.head == "kept"
    assert report.layout == "bare keys, module.-prefixed"
    assert report.dropped == ("v.head.weight", "v.head.bias", "v.head_dist.weight", "v.head_dist.bias")
    # Measured: 3.6e-6 at worst, of logits up to 4.8; so too for `ast_base` on 1024 frames, which takes long.
    np.testing.assert_allclose(logits(network, CASES[name].features()), reference[name], rtol=0, atol=1e-5)


def test_the_filter_bank_is_torchaudios(reference):
    feature = KaldiFbank(FbankParams(**plugin.AstTiny.feature_params))
    assert feature.front_end == plugin.AstTiny.front_end
    found = feature.build()(paddle.to_tensor(waveform()[None])).numpy()[0, 0]
    # Measured: 1.1e-4 at worst, where a band has almost nothing, and 1.8e-6 on average.
    np.testing.assert_allclose(found, reference["filter_bank"], rtol=0, atol=1e-3)
    assert np.abs(found - reference["filter_bank"]).mean() < 1e-5


def test_another_number_of_classes_makes_the_whole_head_anew(tmp_path):
    case = CASES["two_blocks"]
    network, report = loaded(case, tmp_path, classes=9)
    assert report.head == "remade (5 -> 9 classes)"
    np.testing.assert_array_equal(network.mlp_head[0].weight.numpy(), 1.0)
    assert np.abs(network.v.pos_embed.numpy() - weights_of(case)["module.v.pos_embed"]).max() == 0.0


def test_a_published_file_can_be_converted_and_loaded(tmp_path):
    case = CASES["two_blocks"]
    network, _ = loaded(case, tmp_path)
    convert(tmp_path / "published.pth", tmp_path / "ours.pdparams", network_of(case))
    other = network_of(case)
    load_into(other, read_weights(tmp_path / "ours.pdparams"), head="mlp_head")
    np.testing.assert_array_equal(logits(other, case.features()), logits(network, case.features()))


def test_positions_are_kept_exactly_at_the_length_that_they_were_learned_for():
    network = network_of(CASES["tiny"])
    bins, frames = CASES["tiny"].patches(1024)
    learned = network.v.pos_embed[:, 2:].transpose([0, 2, 1]).reshape([1, 192, bins, frames])
    np.testing.assert_array_equal(network.v.positions(paddle.zeros([2, 192, bins, frames])).numpy(), learned.numpy())


def test_padding_is_what_the_original_pads_with_and_does_not_touch_longer_sounds(tmp_path):
    case = CASES["two_blocks"]
    plain, _ = loaded(case, tmp_path)
    params = plugin.AstParams(*case.strides, case.frames, padded_frames=96)
    details = plugin.AstTiny.front_end.details
    front_end = FrontEnd("kaldi_fbank", 16000, 400, 160, 512, case.bins, 0.0, 8000.0, details)
    padding = Ast(plugin.Size(case.width, case.heads, case.depth), Grid.of(params, front_end), case.classes)
    padding.set_state_dict(plain.state_dict())
    padding.eval()
    short, long = case.features()[:, :70], np.concatenate([case.features(), case.features()], axis=1)
    silent = np.full((1, 26, case.bins), (0 - -4.2677393) / (2 * 4.5689974), np.float32)
    whole = logits(plain, np.concatenate([short, silent], axis=1))
    np.testing.assert_array_equal(logits(padding, short), whole)
    np.testing.assert_array_equal(logits(padding, long), logits(plain, long))


def test_only_the_base_pads_by_itself():
    assert plugin.AstBase.Params().padded_frames == 1024
    assert plugin.AstTiny.Params().padded_frames == plugin.AstSmall.Params().padded_frames == 0


def test_the_mean_of_both_tokens_is_the_embedding():
    network = network_of(CASES["two_blocks"])
    features = paddle.to_tensor(CASES["two_blocks"].features())[:, None]
    embedding = network.embed(features)
    assert embedding.shape == [1, 32]
    np.testing.assert_array_equal(network.mlp_head(embedding).numpy(), network(features).numpy())


# Paddle 2.6.2 says so at every auto_cast that it traces.
@pytest.mark.filterwarnings("ignore:paddle.amp.auto_cast is an experimental:UserWarning")
@pytest.mark.parametrize("padded_frames", [0, 64])
def test_a_saved_graph_hears_any_length(tmp_path, padded_frames):
    case = CASES["two_blocks"]
    network, _ = loaded(case, tmp_path, padded_frames=padded_frames)
    spec = [paddle.static.InputSpec([None, 1, None, case.bins], "float32", "features")]
    paddle.jit.save(paddle.jit.to_static(network, input_spec=spec, full_graph=True), str(tmp_path / "graph"))
    graph = paddle.jit.load(str(tmp_path / "graph"))
    runs = [lambda features: graph(paddle.to_tensor(features)).numpy()]
    try:
        require_onnx()
        convert_to_onnx(tmp_path / "graph.json", tmp_path / "graph.onnx")
        runs.append(load_onnx(tmp_path / "graph.onnx"))
    except UserError as error:
        assert "ONNX needs" in error.wrong
    for frames in (16, 50, 96, 190):
        features = np.random.default_rng(0).standard_normal((2, 1, frames, case.bins)).astype(np.float32)
        expected = network(paddle.to_tensor(features)).numpy()
        for run in runs:
            np.testing.assert_allclose(run(features), expected, rtol=0, atol=1e-5)


def test_the_shortest_waveform_is_one_patch_and_one_sample_less_is_none():
    model = plugin.AstTiny(plugin.AstParams())
    shortest = model.minimum_samples(model.front_end)
    feature = KaldiFbank(FbankParams(**model.feature_params)).build()
    assert shortest == 2800
    assert feature(paddle.zeros([1, shortest])).shape[2] == 16
    assert feature(paddle.zeros([1, shortest - 1])).shape[2] == 15


def test_images_lower_than_a_patch_are_refused():
    model = plugin.AstTiny(plugin.AstParams())
    assert not model.accepts(FrontEnd("any", 16000, 400, 160, 512, 15, 0.0, 8000.0))
    assert model.accepts(FrontEnd("any", 16000, 400, 160, 512, 16, 0.0, 8000.0))


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"fstride": 0}, "model.params.fstride is 0\n  allowed: 1 to 16"),
        ({"tstride": 17}, "model.params.tstride is 17\n  allowed: 1 to 16"),
        ({"frames": 15}, "model.params.frames is 15\n  allowed: 16 or more"),
        ({"padded_frames": -1}, "model.params.padded_frames is -1\n  allowed: 0 or more"),
    ],
)
def test_params_that_make_no_network_are_refused(params, said):
    with pytest.raises(UserError) as caught:
        plugin.AstParams(**params)
    assert str(caught.value).startswith(said)


def test_importing_the_plugin_does_not_import_paddle():
    code = "import sys, pannsdist_ast as p; p.AstBase(p.BaseParams()); sys.exit('paddle' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_entry_point_leads_to_its_class():
    found = {entry.name: entry.load() for entry in metadata.distribution("pannsdist-ast").entry_points}
    assert found == {"ast_tiny": plugin.AstTiny, "ast_small": plugin.AstSmall, "ast_base": plugin.AstBase}


def test_what_the_layer_pads_to_is_said_in_samples():
    model = plugin.AstBase(plugin.AstBase.Params())
    padded = model.padded_samples(model.front_end)
    feature = KaldiFbank(FbankParams(**model.feature_params)).build()
    assert [feature(paddle.zeros([1, padded - less])).shape[2] for less in (0, 1)] == [1024, 1023]
    assert plugin.AstTiny(plugin.AstParams()).padded_samples(model.front_end) == 0
