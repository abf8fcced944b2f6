"""The page about a run: what it shows, that it needs nothing beside itself, and that data cannot break out of it."""

import base64
import io
import json
import re
from datetime import datetime
from html.parser import HTMLParser

import numpy as np
import pytest
import soundfile
from small_parts import FEATURE_PARAMS, SmallLayer, SmallModel

import pannsdist
from pannsdist.builtin.logmel import LogMel, LogMelParams
from pannsdist.cli.command_line import main
from pannsdist.contracts import EpochReport
from pannsdist.contracts.network import Network
from pannsdist.inference.bundle import BundleRecord, PluginRecord, write_bundle
from pannsdist.registry import Catalog, Origin
from pannsdist.run import history
from pannsdist.run.data_record import record_of_clips
from pannsdist.run.report.charts import line_chart
from pannsdist.run.report.classes import mistakes_section, table_section
from pannsdist.run.report.confusions import confusions_section
from pannsdist.run.report.content import chosen_rows, read_content
from pannsdist.run.report.page import page
from pannsdist.training.metrics import Predictions, class_scores
from pannsdist.training.tracking import PredictionsTracker

LABELS = ("<script>alert(1)</script>", "狗叫", "rock & 'roll\"")
RATE_HZ = 8000


def make_run(folder, labels=LABELS, multi_label=False):
    """A run folder as training leaves it, over a manifest of six sounds; two of them are taken for another class."""
    folder.mkdir(parents=True)
    root = folder.parent
    targets, given = [0, 0, 1, 1, 2, 2], [0, 1, 1, 1, 1, 2]
    rows = [{"path": f"sound{n}.wav", "label": labels[target], "split": "valid"} for n, target in enumerate(targets)]
    rows.append({"path": "sound0.wav", "label": labels[0], "split": "train", "id": "other"})
    (root / "clips.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (root / "labels.txt").write_text("\n".join(labels), encoding="utf-8")
    for number in range(6):
        tone = 0.5 * np.sin(np.arange(3000) * 0.01 * (number + 1))
        soundfile.write(root / f"sound{number}.wav", tone, RATE_HZ)
    settings = f"""
name: <b>run</b>
model: {{name: small, weights: 'a<b'}}
data: {{name: manifest, params: {{path: {root}/clips.jsonl, labels: {root}/labels.txt}}}}
"""
    (folder / "settings.yaml").write_text(settings, encoding="utf-8")
    scores = {"train/loss": 0.5, "valid/loss": 0.25, "valid/accuracy": 4 / 6, "valid/d_prime": None}
    lines = [{"epoch": n, "step": 4 * n, **scores, "seconds": 1.0} for n in (1, 2, 3)]
    (folder / "scores.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    ids = tuple(f"sound{n}.wav" for n in range(6))
    logits = 2.0 * np.eye(3, dtype=np.float32)[given]
    if multi_label:
        predictions = Predictions(ids, logits - 1, np.eye(3, dtype=np.float32)[targets], labels, True)
    else:
        predictions = Predictions(ids, logits, np.array(targets, np.int64), labels, False)
    report = EpochReport(2, 3, 8, {}, "valid/accuracy", True, 1.0, predictions)
    PredictionsTracker(folder / "best_predictions").epoch(report)
    write_model(folder / "best_model", labels, multi_label)
    return folder


def write_model(folder, labels, multi_label, epoch=2):
    own = Origin("pannsdist", "1.0")
    plugins = (PluginRecord("small", {}, own), PluginRecord("logmel", {}, own), PluginRecord("manifest", {}, own))
    scores = {"valid/accuracy": 4 / 6, "valid/loss": 0.25, "valid/d_prime": float("nan")}
    shape = (SmallModel.front_end, labels, multi_label, 0.25, "valid/accuracy", {}, {}, epoch, scores)
    network = Network(LogMel(LogMelParams(**FEATURE_PARAMS)).build(), SmallLayer(16, len(labels)))
    write_bundle(folder, BundleRecord(*plugins, *shape), network.arrays())


class Tree(HTMLParser):
    """Every tag that a page opens, with its attributes, and its text."""

    def __init__(self, text):
        super().__init__()
        self.opened, self.words, self.stack = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.opened.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "wbr"):
            self.stack.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.opened.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data):
        if data.strip():
            self.words.append(data.strip())

    def all(self, tag):
        return [attrs for name, attrs in self.opened if name == tag]


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path / "runs" / "mine")


def shown(run):
    return Tree(page(read_content(run, Catalog.installed())))


def test_a_page_shows_scores_curves_confusions_classes_settings_and_commands(run):
    tree = shown(run)
    text = " ".join(tree.words)
    assert tree.stack == []
    for heading in ("Curves", "Confusion matrix", "Most confused pairs", "Classes by F1, lowest first", "Settings"):
        assert heading in tree.words
    assert "Epoch 2 of 3 was the best by valid/accuracy; these are its scores." in text
    assert "0.6667" in tree.words
    assert "狗叫" in tree.words
    assert len(tree.all("rect")) == 9
    model, written = run / "best_model", run / "settings.yaml"
    assert f"pannsdist predict --model {model} FILE..." in text
    assert f"pannsdist evaluate --model {model} -c {written}" in text
    assert "data.params.path" in tree.words


def test_what_comes_from_data_is_text_and_never_markup(run):
    text = page(read_content(run, Catalog.installed()))
    tree = Tree(text)
    assert "<script" not in text
    assert "<b>run" not in text
    assert LABELS[0] in tree.words
    assert LABELS[2] in tree.words
    assert "<b>run</b>" in tree.words
    allowed = {"class", "style", "src", "alt", "lang", "charset", "name", "content", "controls", "preload", "role"}
    allowed |= {"viewbox", "x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "rx", "width", "height", "points"}
    allowed |= {"transform", "font-size", "text-anchor", "fill-opacity", "href", "preserveaspectratio"}
    for tag, attributes in tree.opened:
        assert set(attributes) <= allowed, (tag, attributes)


def test_a_page_asks_for_nothing_from_anywhere(run):
    text = page(read_content(run, Catalog.installed()))
    sources = re.findall(r"(?:src|href)='([^']*)'", text)
    assert sources
    assert all(source.startswith("data:") for source in sources)
    assert "url(" not in text
    assert "@import" not in text


def test_the_confused_clips_can_be_heard(run):
    tree = shown(run)
    sounds = [base64.b64decode(audio["src"].partition(",")[2]) for audio in tree.all("audio")]
    assert len(sounds) == 2
    for sound, number in zip(sounds, (1, 4), strict=True):
        samples, rate_hz = soundfile.read(io.BytesIO(sound))
        assert rate_hz == SmallModel.front_end.sample_rate_hz
        assert len(samples) == round(0.25 * rate_hz)  # cut to what the network heard
        expected, _ = soundfile.read(run.parent / f"sound{number}.wav")
        np.testing.assert_allclose(samples, expected[: len(samples)], atol=1e-3)
    assert "1 of 2 clips" in tree.words


@pytest.mark.parametrize("samples", [1, 500])
def test_a_clip_that_is_shorter_than_the_crop_is_played_without_padding(run, samples):
    soundfile.write(run.parent / "sound1.wav", np.full(samples, 0.5), RATE_HZ)
    sound = base64.b64decode(shown(run).all("audio")[0]["src"].partition(",")[2])
    played, rate_hz = soundfile.read(io.BytesIO(sound))
    assert (len(played), rate_hz) == (samples, RATE_HZ)


def test_a_sound_that_cannot_be_read_any_more_is_named(run):
    (run.parent / "sound1.wav").write_bytes(b"")
    tree = shown(run)
    assert len(tree.all("audio")) == 1
    assert tree.words.count("audio not available") == 1
    assert any(word.startswith("A clip cannot be read: clip 'sound1.wav'") for word in tree.words)


def test_a_dataset_that_is_gone_leaves_a_page_without_players(run):
    (run.parent / "clips.jsonl").unlink()
    tree = shown(run)
    assert tree.all("audio") == []
    assert any(word.startswith("The clips are not available: ") for word in tree.words)
    assert "Most confused pairs" in tree.words


def test_several_labels_have_mistakes_of_each_class_in_place_of_confusions(tmp_path):
    """Clips 1 and 4 are taken for the second class: each is wrong there, and missed in its own class."""
    tree = shown(make_run(tmp_path / "runs" / "mine", multi_label=True))
    assert tree.all("rect") == []
    text = " ".join(tree.words)
    assert not any("onfus" in word for word in tree.words)
    order = [tree.words.index(word) for word in ("Most confident mistakes", "Classes by F1, lowest first")]
    mistakes = tree.words[slice(*order)]
    assert [LABELS.index(word) for word in mistakes if word in LABELS] == [0, 1, 2]
    assert f"{LABELS[0]} 1 of 2 clips missed, 0 wrong sound1.wav" in text
    assert f"missed, probability 0.27; is {LABELS[0]}" in mistakes
    assert f"{LABELS[1]} 0 of 2 clips missed, 2 wrong sound1.wav" in text
    assert f"wrong, probability 0.73; is {LABELS[2]}" in mistakes
    assert mistakes.count("sound1.wav") == mistakes.count("sound4.wav") == 2
    assert len(tree.all("audio")) == 2, "each clip is embedded once"


def test_several_labels_without_a_mistake_say_so():
    given = Predictions(("a", "b"), np.array([[1.0, -1], [1, -1]]), np.array([[1.0, 0], [1, 0]]), ("x", "y"), True)
    assert "All labels were predicted correctly." in mistakes_section(given, str.join)
    given.logits[0, 0] = np.nan
    assert "The predictions are not finite." in mistakes_section(given, str.join)


def test_scores_have_their_interval_and_the_number_of_clips(run):
    text = " ".join(shown(run).words)
    assert "valid has 6 clips. 95 %: interval of a bootstrap over the clips." in text
    assert re.search(r"0\.6667 valid/accuracy 95 %: 0\.\d{4} to 1\.0000", text), text
    write_model(run / "best_model", LABELS, False, epoch=3)
    assert "95 %" not in " ".join(shown(run).words), "the stored predictions are of another epoch"


def test_the_table_has_means_and_names_the_classes_without_clips():
    logits = np.eye(3, dtype=np.float32)[[0, 1, 2, 0]]
    classes = class_scores(Predictions(tuple("abcd"), logits, np.array([0, 0, 2, 2]), ("x", "<y>", "z"), False))
    words = Tree(table_section(classes)).words
    assert words[words.index("<y>") :][:8] == ["<y>", "-", "-", "-", "-", "-", "0", "1"]
    assert words[words.index("mean") + 1] == f"{(classes[0].f1 + classes[2].f1) / 2:.4f}"
    assert "The means are over 2 of 3 classes." in words[-1]
    assert "Without clips, so without scores and in no mean: <y>." in words[-1]


def test_a_run_without_predictions_says_so(run):
    for path in (run / "best_predictions").iterdir():
        path.unlink()
    (run / "best_predictions").rmdir()
    tree = shown(run)
    assert "The run has no stored predictions, so confusions cannot be shown." in tree.words
    assert "Curves" in tree.words


def test_predictions_of_another_epoch_than_the_best_models_are_named(run):
    write_model(run / "best_model", LABELS, False, epoch=3)
    assert "The predictions are from epoch 2, the best model is from epoch 3." in shown(run).words


def test_a_run_without_a_best_model_has_a_page_too(run):
    (run / "best_model" / "bundle.json").unlink()
    tree = shown(run)
    assert any(word.startswith("There is no usable best model: ") for word in tree.words)
    assert "Use the model" not in tree.words


def test_at_most_twelve_clips_are_chosen_and_the_surest_mistakes_first():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(400, 5)).astype(np.float32)
    given = Predictions(tuple(map(str, range(400))), logits, rng.integers(0, 5, 400), tuple("abcde"), False)
    rows = chosen_rows(given)
    assert len(rows) == len(set(rows)) == 12
    first = [given.probabilities[row].max() for row in rows[:3]]
    assert first == sorted(first, reverse=True)
    assert all(logits[row].argmax() != given.targets[row] for row in rows)


def test_a_curve_has_a_gap_where_a_score_was_no_number():
    drawn = line_chart({"valid/loss": [1.0, None, 0.5, 0.25]}, best_epoch=4)
    assert drawn.count("<polyline") == 2
    assert drawn.count("<circle") == 3
    assert "no finite value in any epoch" in line_chart({"valid/loss": [None]}, None)
    assert line_chart({"a": [1.0]}, 1).count("<circle") == 1


@pytest.mark.parametrize(("classes", "cells"), [(2, 4), (10, 100), (50, 2500), (61, 900)])
def test_a_confusion_matrix_can_be_read_for_any_number_of_classes(classes, cells):
    """Of many classes, those that are confused are drawn with their names, and all of them are a picture."""
    labels = tuple(f"label {n}" for n in range(classes))
    targets = np.arange(classes)
    given = targets.copy()
    given[classes - 1] = 0
    given[1 : classes - 1] = np.roll(given[1 : classes - 1], 1)
    logits = np.eye(classes, dtype=np.float32)[given]
    tree = Tree(confusions_section((), Predictions(labels, logits, targets, labels, False), "valid"))
    assert len(tree.all("rect")) == cells
    assert {labels[0], labels[-1]} <= set(tree.words)
    assert len(tree.all("img")) == (classes == 61)
    assert f"{labels[-1]} predicted as {labels[0]}: 1" in tree.words
    (drawn,) = tree.all("svg")
    width = float(drawn["viewbox"].split()[2])
    assert width > 300, "it fills its half of the page"
    sizes = {float(text["font-size"]) for text in tree.all("text")}
    assert min(sizes) >= 11


def test_a_clip_has_a_spectrogram_with_seconds_and_hertz(run):
    tree = shown(run)
    assert len(tree.all("image")) == len(tree.all("audio")) == 2
    assert all(one["href"].startswith("data:image/png;base64,") for one in tree.all("image"))
    assert {"Hz", "s", "0.1", "1k", "4k"} <= set(tree.words)
    assert "8k" not in tree.words, "half of the sample rate is 4 kHz"


def test_a_class_has_its_curve_and_the_threshold_with_the_best_f1(run):
    """The second class is predicted for all four clips with 0.79, of which it has two; the others get 0.11."""
    tree = shown(run)
    start = tree.words.index("Precision and recall")
    words = tree.words[start:]
    assert "it was chosen on these clips" in words[1]
    assert words.index("狗叫") < words.index(LABELS[0])
    assert any(word.startswith("AP 0.50 · threshold 0.447: F1 0.67 (0.67)") for word in words), words


def test_a_page_has_date_duration_command_software_and_clips_by_class(run, monkeypatch):
    monkeypatch.setenv("PANNSDIST_COMMAND", "pannsdist train -c <a>.yaml")
    assert "started" not in shown(run).words, "a run without a history"
    history.add_start(run)
    data = {"train": {"other": ((LABELS[0],), 1, None)}, "valid": {"a": ((LABELS[0],), 1, None)}}
    data["valid"]["b"] = ((LABELS[2],), 1, None)
    (run / "data.json").write_text(record_of_clips(LABELS, data).text)
    words = shown(run).words
    assert words[words.index("command") + 1] == "pannsdist train -c <a>.yaml"
    assert words[words.index("duration") + 1].startswith("0:03, ")
    assert datetime.now().astimezone().strftime("%Y-%m-%d") in words[words.index("started") + 1]
    assert f"pannsdist {pannsdist.__version__}, " in words[words.index("software") + 1]
    table = words[words.index("Clips") :]
    assert table[1:5] == ["1 train, 2 valid", "class", "train", "valid"]
    assert table[5:8] == [LABELS[0], "1", "1"]
    assert table[table.index("all clips") + 1 :][:2] == ["1", "2"]
    history.add_start(run)
    assert any(word.startswith("1 times, last ") for word in shown(run).words)


def test_the_command_writes_the_page_and_says_where(run, capsys):
    assert main(["report", str(run)]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"{run / 'report.html'}: ")
    assert said.endswith(" MiB, 2 clips\n")
    assert main(["report", str(run), "-o", str(run / "deep" / "page.html")]) == 0
    assert (run / "deep" / "page.html").read_bytes() == (run / "report.html").read_bytes()


def test_a_folder_that_is_no_run_is_refused(tmp_path, capsys):
    assert main(["report", str(tmp_path)]) == 2
    assert f"error: {tmp_path} is not a run folder: it has no settings.yaml" in capsys.readouterr().err
    (tmp_path / "settings.yaml").write_text("name: a\n")
    assert main(["report", str(tmp_path)]) == 2
    assert "has no scores yet" in capsys.readouterr().err
