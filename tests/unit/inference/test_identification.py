"""A weight file says which installed network it is of."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import paddle
import pytest
import small_parts

from pannsdist.cli.command_line import main
from pannsdist.contracts import Pretrained
from pannsdist.inference.identification import load_or_name, matching_models
from pannsdist.registry import Catalog, Entry
from pannsdist.runtime.errors import WeightsMismatch
from pannsdist.weights import WeightFile
from pannsdist.weights.conversion import torch_state
from pannsdist.weights.formats.writing import write_weights
from pannsdist.weights.loading import linear_weights


def shaped(name, classes=527):
    """A network without values, and a file of its shapes, each a single zero."""
    plugin = Catalog.installed().models.find(name).load()
    with paddle.LazyGuard():
        layer = plugin(plugin.Params()).build(tuple(map(str, range(classes))), plugin.front_end)
    state = {key: np.broadcast_to(np.float32(0), value.shape) for key, value in layer.state_dict().items()}
    return layer, WeightFile(Path("weights.bin"), "paddle", "bare keys", state)


def as_torch(layer, weight_file, fft_samples):
    """The same as PyTorch has it, with the transform that the authors' files carry."""
    spectrum = np.broadcast_to(np.float32(0), (fft_samples // 2 + 1, 1, fft_samples))
    state = {"spectrogram_extractor.stft.conv_real.weight": spectrum}
    state |= torch_state(weight_file, linear_weights(layer))
    return WeightFile(Path("weights.pth"), "torch", "original PANNs", state)


@pytest.mark.parametrize(
    ("name", "classes"),
    [("panns_cnn6", 7), ("panns_cnn10", 7), ("panns_resnet38", 527), ("panns_leenet24", 7), ("panns_cnn14_emb32", 527)],
)
def test_a_file_is_recognised_whatever_its_number_of_classes(name, classes):
    assert matching_models(shaped(name, classes)[1], Catalog.installed()) == [name]


def test_matching_models_one_shape_are_all_named():
    layer, weight_file = shaped("panns_cnn14")
    found = matching_models(weight_file, Catalog.installed())
    assert set(found) == {
        "panns_cnn14",
        "panns_cnn14_16k",
        "panns_cnn14_8k",
        "panns_cnn14_decisionlevelmax",
        "panns_cnn14_decisionlevelavg",
    }
    assert matching_models(as_torch(layer, weight_file, 512), Catalog.installed()) == ["panns_cnn14_16k"]


def test_what_no_network_has_is_recognised_as_nothing():
    weight_file = WeightFile(Path("odd.bin"), "paddle", "bare keys", {"odd.weight": np.zeros((2, 2), np.float32)})
    assert matching_models(weight_file, Catalog.installed()) == []


def test_weights_of_another_network_are_refused_with_its_name():
    plugin = Catalog.installed().models.find("panns_cnn6").load()
    layer = plugin(plugin.Params()).build(("a", "b"), plugin.front_end)
    with pytest.raises(WeightsMismatch) as caught:
        load_or_name(layer, shaped("panns_cnn10")[1], "fc_audioset", Catalog.installed())
    said = str(caught.value).splitlines()
    assert said[0] == "weights.bin (bare keys) does not fit the network"
    assert said[-1] == "  it fits panns_cnn10"
    odd = WeightFile(Path("odd.bin"), "paddle", "bare keys", {"odd.weight": np.zeros((2, 2), np.float32)})
    with pytest.raises(WeightsMismatch, match="no installed model has such weights"):
        load_or_name(layer, odd, "fc_audioset", Catalog.installed())


class Raising(small_parts.SmallModel):
    """A network of a stranger that cannot be built."""

    head: ClassVar[str] = "fc_audioset"
    weights: ClassVar[dict[str, Pretrained]] = {}

    def build(self, labels, front_end):  # noqa: ARG002
        raise ZeroDivisionError("division by zero")


def test_a_network_that_cannot_be_built_is_named_and_stops_nothing(tmp_path, monkeypatch, capsys):
    lines = f"[pannsdist.models]\nraising = {__name__}:Raising\nabsent = no_such_module:Model\n"
    small_parts.install(tmp_path, "strange-parts", lines)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(sys.modules, __name__, sys.modules[Raising.__module__])
    assert matching_models(shaped("panns_cnn6")[1], Catalog.installed()) == ["panns_cnn6"]
    said = capsys.readouterr().err
    assert "model raising was not compared: ZeroDivisionError: division by zero\n" in said
    assert "model absent was not compared: model plugin 'absent' of strange-parts 1.0 is broken" in said


def test_only_networks_with_the_head_of_a_file_are_built(monkeypatch):
    built = []
    monkeypatch.setattr(Entry, "load", lambda entry, load=Entry.load: (built.append(entry.name), load(entry))[1])
    assert matching_models(shaped("panns_cnn6")[1], Catalog.installed()) == ["panns_cnn6"]
    twice = {name for name in built if built.count(name) > 1}
    assert twice == {name for name in built if name.startswith("panns_")} - {"panns_cnn14_decisionlevelatt"}


def test_a_file_under_a_prefix_is_recognised():
    weight_file = shaped("panns_cnn6")[1]
    state = {f"model.net.{key}": value for key, value in weight_file.state.items()}
    assert matching_models(replace(weight_file, state=state), Catalog.installed()) == ["panns_cnn6"]


def test_inspect_says_what_a_file_looks_like(tmp_path, capsys):
    weight_file = shaped("panns_leenet11", classes=3)[1]
    write_weights(tmp_path / "mine.pdparams", weight_file.state)
    assert main(["weights", "inspect", str(tmp_path / "mine.pdparams")]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "looks like  panns_leenet11"
    write_weights(tmp_path / "odd.pdparams", {"odd.weight": np.zeros((2, 2), np.float32)})
    assert main(["weights", "inspect", str(tmp_path / "odd.pdparams")]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "looks like  no installed network"
