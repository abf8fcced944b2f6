"""A model folder explains itself, and is refused when it is not whole or means something else now."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import paddle
import pytest
from small_parts import SmallModel, catalog, write_small_bundle

from pannsdist.builtin.logmel import LogMel, LogMelParams
from pannsdist.contracts import NoParams
from pannsdist.contracts.network import Network
from pannsdist.inference.bundle import BundleRecord, PluginRecord, load_bundle, read_record, write_bundle
from pannsdist.inference.windowing import Windowing, windowing
from pannsdist.registry import Catalog, Origin
from pannsdist.runtime.errors import BadBundle
from pannsdist.settings import to_dict

ORIGIN = Origin("small-parts", "1.0")
FEATURE = LogMelParams(**SmallModel.feature_params)


def record(**changes):
    plain = BundleRecord(
        model=PluginRecord("small", {}, ORIGIN),
        feature=PluginRecord("logmel", to_dict(FEATURE), Origin("pannsdist", "0.1.0")),
        dataset=PluginRecord("tones", {"classes": 2}, Origin("pannsdist", "0.1.0")),
        front_end=SmallModel.front_end,
        labels=("hoch", "tief ü"),
        multi_label=False,
        crop_s=0.25,
        metric="valid/accuracy",
        settings={"train": {"epochs": 3}, "data": {"min_clip_s": None}},
        versions={"pannsdist": "0.1.0"},
        epoch=3,
        scores={"valid/accuracy": 0.1 + 0.2},
    )
    return replace(plain, **changes)


def network():
    model = SmallModel(NoParams()).build(("a", "b"), SmallModel.front_end)
    return Network(LogMel(FEATURE).build(), model)


@pytest.fixture
def folder(tmp_path):
    write_bundle(tmp_path / "best_model", record(), network().arrays())
    return tmp_path / "best_model"


def refusal(action, *arguments):
    with pytest.raises(BadBundle) as caught:
        action(*arguments)
    return str(caught.value)


def change(folder, **values):
    path = folder / "bundle.json"
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **values}), encoding="utf-8")


def test_a_record_is_read_back_as_it_was_written(folder):
    assert read_record(folder) == record()


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 1e-300])
def test_scores_that_are_no_plain_numbers_are_read_back_too(tmp_path, value):
    write_bundle(tmp_path / "m", record(scores={"valid/loss": value}), network().arrays())
    np.testing.assert_equal(read_record(tmp_path / "m").scores["valid/loss"], value)
    json.loads((tmp_path / "m" / "bundle.json").read_text(encoding="utf-8"), parse_constant=pytest.fail)


def test_a_loaded_network_answers_as_the_one_that_was_saved(tmp_path):
    made = network()
    sound = paddle.to_tensor(np.random.default_rng(0).normal(0, 0.1, (3, 2000)).astype(np.float32))
    made(sound)  # running statistics of its own
    write_bundle(tmp_path / "m", record(), made.arrays())
    made.eval()
    loaded = load_bundle(tmp_path / "m", catalog()).network
    assert not loaded.training
    assert not loaded.model.norm.training
    np.testing.assert_array_equal(loaded(sound).numpy(), made(sound).numpy())


def test_a_folder_works_where_it_was_moved_to(folder):
    moved = folder.rename(folder.parent / "somewhere else")
    assert load_bundle(moved, catalog()).record.epoch == 3


def test_a_new_model_takes_the_place_of_the_older(folder):
    write_bundle(folder, record(epoch=4), network().arrays())
    assert read_record(folder).epoch == 4
    assert [path.name for path in folder.parent.iterdir()] == ["best_model"]


def test_a_folder_that_is_no_model_is_refused(tmp_path):
    said = refusal(read_record, tmp_path)
    assert said.startswith(f"{tmp_path} is not a model folder: it has no bundle.json\n  give the best_model folder")
    assert said.endswith("next: ls runs/*/best_model")


def test_a_folder_of_a_run_is_refused_with_its_model(folder):
    run = folder.parent
    assert refusal(read_record, run) == (
        f"{run} is a folder of a run, not a model folder\n  give its best model: {run}/best_model"
    )


@pytest.mark.parametrize("damage", ["cut", "changed", "gone"])
def test_damaged_weights_are_refused(folder, damage):
    path = folder / "model.pdparams"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.unlink()
    if damage != "gone":
        path.write_bytes(data if damage == "changed" else data[:-9])
    for action, arguments in ((read_record, (folder,)), (load_bundle, (folder, catalog()))):
        assert refusal(action, *arguments).startswith(f"{path} is missing or damaged\n  copy the whole folder again")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '{"format": 1}', '{"format": 1, "sha256": "a"}'])
def test_a_damaged_record_is_refused(folder, text):
    (folder / "bundle.json").write_text(text, encoding="utf-8")
    said = "cannot be read: its format is None" if text == "{}" else "is damaged: "
    assert refusal(read_record, folder).startswith(f"{folder}/bundle.json {said}")


def test_bytes_that_are_no_text_are_refused(folder):
    (folder / "bundle.json").write_bytes(b"\xff\xfe{}")
    assert "bundle.json is damaged: a file is not JSON: not UTF-8" in refusal(read_record, folder)


def test_a_folder_of_a_newer_version_is_refused(folder):
    change(folder, format=2)
    said = refusal(read_record, folder)
    assert said.startswith(
        f"{folder}/bundle.json was written by a newer pannsdist: its format is 2, this one reads format 1"
    )


def test_a_plugin_that_is_not_installed_is_refused_with_its_distribution(folder):
    said = refusal(load_bundle, folder, Catalog.installed())
    assert said == (
        "the model was made with model 'small', which is not installed\n"
        "  it came with small-parts 1.0\n"
        "  next: pip install small-parts==1.0"
    )


def test_a_feature_that_computes_something_else_now_is_refused_with_both_sides(tmp_path):
    then = replace(SmallModel.front_end, details=(("window", "hamming"),))
    write_bundle(tmp_path / "m", record(front_end=then), network().arrays())
    said = refusal(load_bundle, tmp_path / "m", catalog())
    assert said.startswith(f"feature 'logmel' no longer computes what the model in {tmp_path}/m was trained on")
    assert "hamming" in said
    assert "hann" in said.splitlines()[2]
    assert said.endswith("next: pip install pannsdist==0.1.0")


def test_weights_of_another_network_are_refused(folder):
    change(folder, labels=["a", "b", "c"])
    said = refusal(load_bundle, folder, catalog())
    assert said.startswith(
        f"the weights in {folder} do not fit model 'small': 2 tensors do not fit, such as classifier."
    )
    assert "it was made with small-parts 1.0" in said


def test_nothing_in_a_model_folder_is_run(folder):
    from pannsdist.weights.downloads.cache import sha256

    marker = folder.parent / "ran"
    code = b"\x80\x04cos\nsystem\n(V" + f"touch {marker}".encode() + b"\ntR."
    (folder / "model.pdparams").write_bytes(code)
    change(folder, sha256=sha256(Path(folder / "model.pdparams")))
    assert "do not fit model 'small'" in refusal(load_bundle, folder, catalog())
    assert not marker.exists()


def test_a_folder_whose_replacement_was_killed_between_two_renames_is_read(tmp_path):
    write_small_bundle(tmp_path / "best_model")
    (tmp_path / "best_model").rename(tmp_path / ".best_model.older")
    assert load_bundle(tmp_path / "best_model", catalog()).record.labels == ("high", "low")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"labels": ["a\x1b[2J", "b"]}, r"'a\\x1b\[2J' has letters that cannot be printed"),
        ({"labels": ["a", "b" * 2000]}, "a name or label that is no text of at most 1000 letters"),
        ({"labels": [["a"], "b"]}, "a name or label that is no text"),
        ({"crop_s": 0}, "crop_s is no number of seconds up to 3600"),
        ({"crop_s": 1e300}, "crop_s is no number of seconds up to 3600"),
        ({"crop_s": float("nan")}, "crop_s is no number of seconds"),
        ({"crop_s": "1"}, "crop_s is no number of seconds"),
        ({"pads_to_crop": "no"}, "pads_to_crop is neither true nor false"),
        ({"x\x1b" + "y" * 1000: 1}, r"unexpected keyword argument 'x\\x1byyy"),
        ({"labels": [[]] * 500_000}, "a file of [0-9,]+ parts in its JSON"),
        ({"settings": {"x" * 5_000_000: 1}}, "a file of 4,194,305 bytes"),
    ],
)
def test_a_record_that_no_run_writes_is_refused_for_what_is_wrong(tmp_path, change, said):
    write_bundle(tmp_path / "best_model", record(), {"w": np.zeros(1, np.float32)})
    path = tmp_path / "best_model" / "bundle.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(BadBundle, match=said) as caught:
        read_record(tmp_path / "best_model")
    assert len(str(caught.value)) < 600
    assert all(letter.isprintable() or letter == "\n" for letter in str(caught.value))


def test_a_record_nested_too_deeply_is_refused(tmp_path):
    write_bundle(tmp_path / "best_model", record(), {"w": np.zeros(1, np.float32)})
    (tmp_path / "best_model" / "bundle.json").write_text('{"format": ' + "[" * 100_000)
    with pytest.raises(BadBundle, match="nested too deeply"):
        read_record(tmp_path / "best_model")


@pytest.mark.parametrize(
    "origin", [{"distribution": "x'; rm -rf ~; '", "version": "1"}, {"distribution": "x", "version": []}]
)
def test_a_distribution_that_would_be_a_command_of_its_own_is_refused(tmp_path, origin):
    write_bundle(tmp_path / "best_model", record(), {"w": np.zeros(1, np.float32)})
    path = tmp_path / "best_model" / "bundle.json"
    content = json.loads(path.read_text())
    content["model"]["origin"] = origin
    path.write_text(json.dumps(content))
    with pytest.raises(BadBundle, match="a plugin whose distribution and version no index has"):
        read_record(tmp_path / "best_model")


def test_a_folder_says_whether_shorter_sounds_are_padded_and_an_older_one_pads_them(tmp_path):
    for pads_to_crop, pad_to_s in ((True, 0.25), (False, 512 / 8000)):
        write_bundle(tmp_path / "best_model", record(pads_to_crop=pads_to_crop), network().arrays())
        model = load_bundle(tmp_path / "best_model", catalog()).inference_model
        assert (model.window_s, model.pad_to_s) == (0.25, pad_to_s)
        assert windowing(model) == Windowing(2000, 2000, round(8000 * pad_to_s)), "predictions and exported graphs"
    path = tmp_path / "best_model" / "bundle.json"
    content = json.loads(path.read_text())
    del content["pads_to_crop"]
    path.write_text(json.dumps(content))
    assert load_bundle(tmp_path / "best_model", catalog()).inference_model.pad_to_s == 0.25
