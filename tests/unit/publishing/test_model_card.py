"""The model card of a published model: what it says, in which format, and what never leaves the machine."""

import json
import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import yaml
from small_parts import write_small_bundle

from pannsdist.contracts.predictions import Predictions
from pannsdist.inference.bundle import read_record
from pannsdist.inference.decisions import Decisions
from pannsdist.run.data_record import record_of_clips
from pannsdist.run.publishing import limits
from pannsdist.run.publishing.card import card
from pannsdist.run.publishing.facts import Facts, SplitScores
from pannsdist.run.publishing.redacting import public_record
from pannsdist.runtime.errors import UserError
from pannsdist.training.tracking import SavedPredictions
from pannsdist.training.tracking.predictions_file import write_predictions

pytestmark = pytest.mark.any_paddle
LABELS = ("high", "low")
TOKEN = "hf_" + "a1B2" * 9


@pytest.fixture
def folder(tmp_path):
    """A model folder in the folder of its run, with the predictions of its epoch."""
    run = tmp_path / "runs" / "birds"
    write_small_bundle(run / "best_model", LABELS)
    change(run / "best_model", epoch=3, scores={"valid/accuracy": 0.75, "valid/loss": 0.5, "valid/d_prime": "inf"})
    logits = np.array([[2.0, 0.0], [0.0, 2.0], [1.0, 0.0], [3.0, 0.0]], np.float32)
    targets = np.array([0, 1, 0, 1])
    ids = tuple(f"clip{number}" for number in range(4))
    write_predictions(
        run / "best_predictions", SavedPredictions(3, "valid", Predictions(ids, logits, targets, LABELS, False))
    )
    of_split = {"train": 20, "valid": 4}
    clips = {
        split: {f"{split}{number}": ((LABELS[number % 2],), 100, None) for number in range(count)}
        for split, count in of_split.items()
    }
    (run / "data.json").write_text(record_of_clips(LABELS, clips).text, encoding="utf-8")
    return run / "best_model"


@pytest.fixture
def password(monkeypatch):
    """A secret in the environment."""
    monkeypatch.setenv("SOME_PASSWORD", "words of the environment")


def change(folder, **values):
    path = folder / "bundle.json"
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **values}), encoding="utf-8")


def published(run, folder, target, *options):
    code, said, complaint = run("publish", "--model", folder, "--to", target, *options)
    assert code == 0, complaint
    return (target / "README.md").read_text(encoding="utf-8"), said


def test_the_hub_reads_the_metadata_of_the_card(run, folder, tmp_path):
    hub = pytest.importorskip("huggingface_hub", reason="not installed: pip install 'pannsdist[hf]'")
    text, _ = published(run, folder, tmp_path / "out", "--licence", "CC BY 4.0")
    data = hub.ModelCard(text, ignore_metadata_errors=False).data
    assert (data.license, data.library_name, data.pipeline_tag) == ("cc-by-4.0", "pannsdist", "audio-classification")
    assert "small" in data.tags
    (result,) = data.eval_results
    assert (result.metric_type, result.metric_value, result.dataset_type) == ("accuracy", 0.75, "tones")
    assert re.fullmatch(r"accuracy on valid, 95 % interval \d\.\d{4} to \d\.\d{4}", result.metric_name)
    assert yaml.safe_load(hub.ModelCardData(**data.to_dict()).to_yaml()) == yaml.safe_load(text.split("---")[1])


def test_the_card_has_scores_with_intervals_and_clips_of_each_split(run, folder, tmp_path):
    text, said = published(run, folder, tmp_path / "out")
    assert re.search(r"^\| accuracy \| 0\.7500 \| 0\.\d{4} to 1\.0000 \|$", text, re.MULTILINE)
    assert "d_prime" not in text  # not finite
    assert "| high | 10 | 2 |" in text
    assert "| all clips | 20 | 4 |" in text
    assert "note: no licence is stated" in said
    assert "none was stated; ask its publisher" in text


def test_without_its_run_the_card_says_what_is_not_known(run, folder, tmp_path):
    folder.rename(tmp_path / "alone")
    text, _ = published(run, tmp_path / "alone", tmp_path / "out" / "model")
    assert "Intervals are not known" in text
    assert "The clips of each split are not known" in text
    assert "| accuracy | 0.7500 |  |" in text


def test_predictions_of_another_epoch_give_no_intervals(run, folder, tmp_path):
    change(folder, epoch=4)
    assert "Intervals are not known" in published(run, folder, tmp_path / "out")[0]


def test_a_dry_run_shows_the_card_and_writes_nothing(run, folder, tmp_path):
    code, said, _ = run("publish", "--model", folder, "--to", tmp_path / "out", "--dry-run")
    assert code == 0
    assert said.startswith("---\nlibrary_name: pannsdist\n")
    assert re.search(r"nothing was published; to .*:\n  README\.md, [\d,]+ bytes\n  SHA256SUMS, ", said)
    assert not (tmp_path / "out").exists()


def test_a_published_folder_can_be_used_checked_and_published_again(run, folder, tmp_path):
    import subprocess

    for _ in range(2):
        published(run, folder, tmp_path / "out")
    assert subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=tmp_path / "out", check=False).returncode == 0
    assert read_record(tmp_path / "out").labels == LABELS
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("mine", encoding="utf-8")
    code, _, complaint = run("publish", "--model", folder, "--to", tmp_path / "other")
    assert (code, "is a folder with other files" in complaint) == (2, True)


def test_no_place_of_this_machine_is_published(run, folder, tmp_path):
    params = {"root": "/mnt/somebody/sounds/ESC-10", "list": "../../lists/clips.csv", "label": "/m/09x0r", "fold": 1}
    weights = "~/weights/mn04.pt"
    change(
        folder, settings={"model": {"weights": weights}, "data": {"params": params}, "runs": "/scratch/somebody/runs"}
    )
    change(folder, dataset={**json.loads((folder / "bundle.json").read_text())["dataset"], "params": params})
    published(run, folder, tmp_path / "out")
    texts = [(tmp_path / "out" / name).read_text(encoding="utf-8") for name in ("bundle.json", "README.md")]
    for text in texts:
        assert not re.search(r"somebody|/mnt|\.\./|~/|scratch", text)
    record = read_record(tmp_path / "out")
    assert record.dataset.params == {"root": "ESC-10", "list": "clips.csv", "label": "/m/09x0r", "fold": 1}
    assert record.settings["model"]["weights"] == "mn04.pt"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"trackers": {"wandb": {"api_key": "0123456789abcdef"}}}, "a secret: settings.trackers.wandb.api_key"),
        ({"name": TOKEN}, "holds what looks like a token"),
        ({"name": "words of the environment"}, "holds the value of SOME_PASSWORD"),
    ],
)
@pytest.mark.usefixtures("password")
def test_a_secret_in_the_folder_is_refused_and_not_shown(run, folder, tmp_path, content, words):
    change(folder, settings=content)
    for more in ((), ("--dry-run",)):
        code, said, complaint = run("publish", "--model", folder, "--to", tmp_path / "out", *more)
        assert (code, words in complaint) == (2, True), complaint
        assert not re.search("0123456789abcdef|words of the|" + TOKEN, said + complaint)
    assert not (tmp_path / "out").exists()


def test_a_model_that_needs_a_file_of_this_machine_is_refused():
    content = {"model": {"name": "x", "params": {"table": "/data/table.npy"}}, "settings": {}}
    with pytest.raises(UserError, match="the params of the model plugin hold a path"):
        public_record(content)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--to", "hf://me/x@" + "0" * 40), "is a commit, which never changes"),
        (("--to", "out", "--private"), "--private and --message are for a hub"),
        (("--to", "out", "--licence", "do what you want!"), "is no identifier of a licence"),
        (("--to", "s3://bucket/model"), "is no place of a model"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_the_work(run, folder, arguments, words):
    code, _, complaint = run("publish", "--model", folder, *arguments)
    assert (code, words in complaint) == (2, True), complaint


def test_a_folder_that_is_no_model_is_refused(run, folder, tmp_path):
    for model in (folder.parent, tmp_path / "nothing"):
        code, _, complaint = run("publish", "--model", model, "--to", tmp_path / "out")
        assert (code, "not a model folder" in complaint) == (2, True), complaint


def facts(folder, **changes):
    found = {
        "record": replace(read_record(folder), **changes.pop("record", {})),
        "splits": [SplitScores("valid", {"accuracy": 0.9})],
        "clips": {"train": 40, "valid": 20},
        "class_clips": {"train": Counter(high=20, low=20), "valid": Counter(high=15, low=5)},
        "weights": "random initialization, no pretrained weights",
        "data": "",
    }
    return Facts(**{**found, **changes})


def test_what_was_not_tested_follows_from_the_records(folder):
    text = "\n".join(limits.untested(facts(folder)))
    assert "no other split was scored" in text
    assert "fewer than 10 clips in `valid`, whose scores say little: low (5)" in text
    assert "they get one of them all the same" in text
    tested = facts(folder, splits=[SplitScores("valid", {"accuracy": 0.9}), SplitScores("test", {"accuracy": 0.8})])
    assert "no other split was scored" not in "\n".join(limits.untested(tested))
    decided = facts(folder, record={"decisions": Decisions(1.2, (0.5, 0.5), 0.5, min_energy=3.0)})
    assert "those of low energy are rejected" in "\n".join(limits.untested(decided))
    assert "No scores are known" in "\n".join(limits.untested(facts(folder, splits=[])))


def test_decisions_and_folds_are_in_the_card(folder):
    decisions = Decisions(1.25, (0.5, 0.5), 0.5, min_energy=3.0, rejected=0.05, fitted_on="valid", clips=20)
    folds = [SplitScores("valid", {"accuracy": 0.9}, {"accuracy": (0.8, 1.0)}, folds=5)]
    text = card(facts(folder, record={"decisions": decisions}, splits=folds), "x", "hf://me/x", "mit")
    assert "| temperature | 1.25 |" in text
    assert "a sound whose energy is below 3 is none of these; 5 % of known clips were" in text
    assert "means over 5 folds, each of a model of its own" in text


def test_labels_of_others_are_no_markup(folder):
    record = {"labels": ("a|b", "<script>alert(1)</script>"), "multi_label": True}
    text = card(facts(folder, record=record), "x", "hf://me/x", "")
    assert r"a\|b" in text
    assert "<script>" not in text.replace(r"\<script", "")


def test_a_dataset_of_the_hub_is_named_in_the_metadata(folder):
    dataset = replace(read_record(folder).dataset, params={"root": "hf://datasets/me/sounds@v1/top"})
    text = card(facts(folder, record={"dataset": dataset}), "x", "hf://me/x", "")
    head = yaml.safe_load(text.split("---")[1])
    assert head["datasets"] == ["me/sounds"]
    assert head["model-index"][0]["results"][0]["dataset"]["type"] == "me/sounds"


def test_the_licence_of_published_weights_comes_from_the_plugin(run, folder, tmp_path):
    pytest.importorskip("pannsdist_efficientat")
    content = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
    own = {"distribution": "pannsdist-efficientat", "version": "0.1.0"}
    change(folder, model={"name": "efficientat_mn04", "params": {}, "origin": own})
    for weights, words in {
        "/data/mn04_as_mAP_432.pt": "a file with the name of tag `as_mAP_432`, `mn04_as_mAP_432.pt`",
        "as_mAP_432": "tag `as_mAP_432` of `efficientat_mn04`: Schmid et al. 2023",
        "mine.pt": "the file `mine.pt`, whose source and licence are not known",
        "": "random initialization",
    }.items():
        change(folder, settings={**content["settings"], "model": {"name": "efficientat_mn04", "weights": weights}})
        text, _ = published(run, folder, tmp_path / "out")
        assert words in text
        assert ("licence MIT" in text) == ("as_mAP_432" in weights)
