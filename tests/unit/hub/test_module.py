"""hub.Module: which weights it starts from, and what it predicts."""

from collections import OrderedDict
from dataclasses import replace

import hub_parts
import numpy as np
import paddle
import pytest

from pannsdist import hub
from pannsdist.inference import audioset
from pannsdist.registry import Catalog
from pannsdist.runtime.errors import BadWeightsFile, UnknownPlugin, UserError, WeightsMismatch
from pannsdist.weights.formats.writing import write_weights

LABELS = {0: "low", 1: "middle", 2: "high"}
RATE_HZ = 44100


def waveform(seconds=1.0, seed=0):
    return np.random.default_rng(seed).normal(0.0, 0.1, round(seconds * RATE_HZ)).astype(np.float32)


def arrays(layer):
    return {name: tensor.numpy() for name, tensor in layer.state_dict().items()}


def test_it_starts_from_the_published_weights_and_says_what_became_of_the_head(module, home, capsys):
    made = module()
    said = capsys.readouterr().out
    assert said == (
        f"plain starts from {home / 'plain.pdparams'}: 2 tensors loaded (bare keys), 2 not needed; "
        "head remade (527 -> 3 classes)\n"
    )
    paddle.seed(7)
    published = hub_parts.PlainLayer(hub_parts.BINS, 527)
    assert np.array_equal(made.network.hidden.weight.numpy(), published.hidden.weight.numpy())


def test_without_a_network_it_says_which_file_to_put_where_and_gives_no_random_weights(home, server, monkeypatch):
    weights = replace(hub_parts.Plain.weights["audioset"], url=server.url("/other.pdparams"))
    monkeypatch.setattr(hub_parts.Plain, "weights", {"audioset": weights})
    with pytest.raises(BadWeightsFile) as caught:
        hub.Module(name="plain", task="sound-cls", num_class=3)
    assert f"copy the file to {home / 'other.pdparams'}" in str(caught.value)


@pytest.mark.parametrize("options", [{"num_class": 3}, {"num_classes": 3}, {"label_map": LABELS}], ids=str)
def test_the_number_of_classes_may_come_from_any_of_three_arguments(options):
    made = hub.Module(name="plain", version="1.0.0", task="sound-cls", **options)
    assert (made.num_class, made.task, made.network.classifier.bias.shape) == (3, "sound-cls", [3])
    assert made.label_map == (LABELS if "label_map" in options else {0: "0", 1: "1", 2: "2"})


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({"task": "sound-cls"}, "num_class is None, and label_map has no entries"),
        ({"task": "sound-cls", "num_class": 4, "label_map": LABELS}, "num_class is 4, and label_map has 3 entries"),
        ({"task": None, "num_class": 10}, "num_class is 10, and label_map has no entries\n  527 labels"),
        ({"task": "sound-cls", "label_map": {1: "a", 2: "b"}}, "label_map does not map consecutive indices"),
        ({"task": "sound-cls", "label_map": {0: "a", 1: "a"}}, "label_map does not map consecutive indices"),
        ({"task": "music", "num_class": 3}, "task is 'music'\n  allowed: 'sound-cls', or None"),
        ({"version": "2.0.0"}, "version is '2.0.0'"),
        ({"directory": "somewhere", "update": True}, "hub.Module does not support directory, update"),
    ],
    ids=str,
)
def test_arguments_that_do_not_agree_are_refused(options, wrong):
    with pytest.raises(UserError) as caught:
        hub.Module(name="plain", **options)
    assert str(caught.value).startswith(wrong)


def test_an_unknown_name_or_argument_is_refused():
    with pytest.raises(UnknownPlugin, match="closest: panns_cnn14"):
        hub.Module(name="pann_cnn14", task=None)
    with pytest.raises(TypeError, match="num_clas"):
        hub.Module(name="plain", task="sound-cls", num_clas=3)


def test_a_checkpoint_is_loaded_with_its_head(module, tmp_path):
    before = module()
    write_weights(tmp_path / "own.pdparams", arrays(before.network))
    paddle.seed(99)
    after = hub.Module(name="plain", task="sound-cls", num_class=3, load_checkpoint=str(tmp_path / "own.pdparams"))
    data = [waveform()]
    assert list(after.predict(data, RATE_HZ)[0].values()) == list(before.predict(data, RATE_HZ)[0].values())


def test_a_missing_checkpoint_is_refused(module, tmp_path):
    with pytest.raises(BadWeightsFile, match="no weight file at"):
        module(load_checkpoint=str(tmp_path / "none.pdparams"))


def test_a_checkpoint_of_another_number_of_classes_is_refused(module, tmp_path):
    write_weights(tmp_path / "three.pdparams", arrays(module().network))
    with pytest.raises(BadWeightsFile) as caught:
        hub.Module(name="plain", task="sound-cls", num_class=5, load_checkpoint=str(tmp_path / "three.pdparams"))
    assert "its head would be remade (3 -> 5 classes)" in str(caught.value)
    with pytest.raises(BadWeightsFile, match=r"remade \(3 -> 527 classes\)"):
        hub.Module(name="plain", task=None, load_checkpoint=str(tmp_path / "three.pdparams"))


def test_a_checkpoint_of_another_network_is_refused_and_named(tmp_path):
    other = Catalog.installed().models.find("panns_leenet11").load()
    write_weights(tmp_path / "leenet.pdparams", arrays(other(other.Params()).build(("a", "b"), other.front_end)))
    with pytest.raises(WeightsMismatch, match="it fits panns_leenet11"):
        hub.Module(name="plain", task="sound-cls", num_class=2, load_checkpoint=tmp_path / "leenet.pdparams")


def test_every_layout_of_a_fine_tuned_cnn6_gives_the_same_answer(home, tmp_path):
    plugin = Catalog.installed().models.find("panns_cnn6").load()
    layer = plugin(plugin.Params()).build(("a", "b"), plugin.front_end)
    bare = arrays(layer)
    inside = {name: array for name, array in bare.items() if not name.startswith("fc_audioset")}
    head = {f"fc.{name}": bare[f"fc_audioset.{name}"] for name in ("weight", "bias")}
    layouts = {
        "bare": bare,
        "module": {f"cnn6.{name}": array for name, array in bare.items()},
        "hub": {**{f"cnn6.{name}": array for name, array in inside.items()}, **head},
        "speech": {**{f"backbone.{name}": array for name, array in inside.items()}, **head},
    }
    answers = []
    for name, state in layouts.items():
        write_weights(tmp_path / f"{name}.pdparams", state)
        made = hub.Module(
            name="panns_cnn6", task="sound-cls", num_class=2, load_checkpoint=tmp_path / f"{name}.pdparams"
        )
        answers.append(made.predict([waveform(0.5)], RATE_HZ))
    assert answers == [answers[0]] * 4
    assert set(made.state_dict()) == set(layouts["module"])
    assert list(home.glob("Cnn6*")) == []


def test_a_prediction_is_every_label_with_its_probability_the_highest_first(module):
    (answer,) = module().predict([waveform()], sample_rate=RATE_HZ)
    assert isinstance(answer, OrderedDict)
    assert set(answer) == {"low", "middle", "high"}
    scores = list(answer.values())
    assert scores == sorted(scores, reverse=True) and all(type(score) is float for score in scores)
    assert sum(scores) == pytest.approx(1.0, abs=1e-6)


def test_without_a_task_it_tags_with_audiosets_labels():
    (answer,) = hub.Module(name="plain").predict([waveform()], RATE_HZ)
    assert set(answer) == set(audioset.labels())
    assert sum(answer.values()) > 2.0, "each label has a probability of its own"


def test_clips_of_unequal_length_get_what_each_gets_alone(module):
    made = module()
    data = [waveform(seconds, seed) for seed, seconds in enumerate((1.0, 0.3, 1.0, 0.7, 0.001))]
    together, alone = made.predict(data, RATE_HZ, batch_size=3), [made.predict([one], RATE_HZ)[0] for one in data]
    for left, right in zip(together, alone, strict=True):
        assert left == pytest.approx(right, abs=1e-6)


def test_a_waveform_is_resampled_to_what_the_network_hears(module):
    made, time_s = module(), np.arange(44100) / 44100
    at_44k, at_8k = np.sin(2 * np.pi * 440 * time_s), np.sin(2 * np.pi * 440 * np.arange(8000) / 8000)
    left, right = made.predict([at_44k], 44100)[0], made.predict([at_8k], 8000)[0]
    assert left == pytest.approx(right, abs=2e-3)


def test_predicting_computes_no_gradient(module, monkeypatch):
    made, seen = module(), []
    forward = made.network.forward
    monkeypatch.setattr(made.network, "forward", lambda image: seen.append((image, forward(image))) or seen[-1][1])
    made.predict([waveform()], RATE_HZ)
    ((heard, answer),) = seen
    assert heard.stop_gradient and answer.stop_gradient


def test_training_computes_no_gradient_of_the_input(module):
    features, label = hub_parts.Features()[0]
    batch = [paddle.to_tensor(features[None]), paddle.to_tensor([int(label)])]
    made = module()
    step = made.training_step(batch, 0)
    step["loss"].backward()
    assert batch[0].grad is None and batch[0].stop_gradient
    assert made.network.hidden.weight.grad is not None
    assert set(step) == {"loss", "metrics"} and set(made.validation_step(batch, 0)["metrics"]) == {"acc"}


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"feat_type": "raw"}, "feat_type is 'raw'\n  plain takes 'mel'"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"data": [[]]}, "data[0] is not a waveform: shape (0,)"),
        ({"data": [np.zeros((2, 100))]}, "data[0] is not a waveform: shape (2, 100)"),
        ({"data": [[0.0, float("nan")]]}, "data[0] is not a waveform: shape (2,)"),
    ],
    ids=str,
)
def test_what_cannot_be_predicted_is_refused(module, change, wrong):
    with pytest.raises(UserError) as caught:
        module().predict(**{"data": [waveform(0.1)], "sample_rate": RATE_HZ, **change})
    assert str(caught.value).startswith(wrong)


@pytest.mark.skipif(paddle.device.is_compiled_with_cuda(), reason="for a Paddle without GPUs")
def test_a_gpu_that_is_not_there_is_said_once_in_one_line(module, capsys):
    made = module()
    for _ in range(2):
        made.predict([waveform(0.1)], RATE_HZ, use_gpu=True)
    assert capsys.readouterr().err == "use_gpu=True, but Paddle finds no GPU: using the CPU\n"
