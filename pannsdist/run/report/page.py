"""The report as an HTML page with inline style. All text from data is escaped."""

from __future__ import annotations

import base64
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from pannsdist.run.report.charts import confusion_chart, line_chart
from pannsdist.run.report.content import ClipPlayer, ReportContent
from pannsdist.run.report.style import STYLE
from pannsdist.runtime.errors import shell_command
from pannsdist.training.metrics import ClassScores, Predictions, confusion, most_confused

OPEN = 3
"""Number of charts that are expanded initially."""
NO_SCORES = ("epoch", "step", "seconds", "earlier")
TILES = ("accuracy", "mean_average_precision", "macro_f1", "balanced_accuracy", "loss", "calibration_error")


def page(content: ReportContent) -> str:
    """The complete HTML page of a run."""
    name = escape(content.folder.resolve().name)
    sections = [_head(content), _notes(content.notes), _test(content), _curves(content)]
    if content.kept is not None:
        predictions = content.kept.predictions
        title = f"{content.kept.split}, epoch {content.kept.epoch}"
        sections += [_confusion(predictions, title), _players(content.players, predictions), _table(content.classes)]
    sections += [_commands(content), _settings(content.settings)]
    return (
        "<!DOCTYPE html>\n<html lang='en'>\n<head>\n<meta charset='utf-8'>\n"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>\n"
        f"<title>{name}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(section for section in sections if section)
        + "\n</main>\n</body>\n</html>\n"
    )


def _head(content: ReportContent) -> str:
    record, last = content.record, content.scores[-1]
    lines = [f"<header><h1>{escape(content.folder.resolve().name)}</h1>"]
    if record is None:
        return "".join([*lines, f"<p>{last['epoch']} epochs</p></header>"])
    weights = str(content.settings.get("model.weights", "")) or "random weights"
    facts = [record.model.name, f"from {weights}", record.dataset.name, f"{len(record.labels)} classes"]
    lines.append(f"<p class='quiet'>{escape(' · '.join(facts))}</p>")
    split, _, selected = record.metric.partition("/")
    own = [key.removeprefix("metrics.") for key in record.further if key.startswith("metrics.")]
    names = dict.fromkeys((selected, *own, *TILES))
    shown = [name for name in names if f"{split}/{name}" in record.scores][:6]
    lines.append("<div class='tiles'>")
    for name in shown:
        kind = "tile chosen" if name == selected else "tile"
        value = _number(record.scores[f"{split}/{name}"])
        words = f"{escape(split)}/{escape(name)}".replace("_", "_<wbr>")
        lines.append(f"<div class='{kind}'><b>{value}</b><span>{words}</span></div>")
    lines.append("</div>")
    best = f"Epoch {record.epoch} of {last['epoch']} was the best by {escape(record.metric)}; these are its scores."
    if record.metric not in record.scores:
        best = f"All clips were trained on, and none chose an epoch; the model is that of epoch {record.epoch}."
    return "".join([*lines, f"<p class='quiet'>{best}</p></header>"])


def _notes(notes: Sequence[str]) -> str:
    return "".join(f"<p class='note'>{escape(note)}</p>" for note in dict.fromkeys(notes))


def _test(content: ReportContent) -> str:
    """The scores of the test split, apart from those that the model was chosen by."""
    test = content.test
    if test is None:
        return ""
    words = f"{test.clips} clips, evaluated once, after the choice, with the model of epoch {test.epoch}. "
    words += "The scores above are of the clips that the epoch was chosen on; these are not."
    rows = "".join(
        f"<tr><th>{escape(name)}</th><td>{_number(math.nan if value is None else value)}</td></tr>"
        for name, value in test.scores.items()
    )
    return f"<section><h2>Test split</h2><p class='quiet'>{words}</p><table>{rows}</table></section>"


def _curves(content: ReportContent) -> str:
    """The losses and the most important scores; the other charts are collapsed."""
    names = [name for name in content.scores[-1] if name not in NO_SCORES]
    best = content.record.epoch if content.record else None
    selected = content.record.metric if content.record else ""
    losses = [name for name in names if name.endswith("/loss")]
    others = sorted((name for name in names if name not in losses), key=lambda name: _rank(name, selected))
    groups = ([losses] if losses else []) + [[name] for name in others]
    drawn = []
    for group in groups:
        series = {name: [line.get(name) for line in content.scores] for name in group}
        legend = " ".join(f"<span class='key key{i}'>{escape(name)}</span>" for i, name in enumerate(group))
        drawn.append(f"<figure><figcaption>{legend}</figcaption>{line_chart(series, best)}</figure>")
    words = "Over epochs. " + ("The dashed line is the best epoch. " if best else "") + "Missing points: not finite."
    parts = [
        f"<section><h2>Curves</h2><p class='quiet'>{words}</p>",
        f"<div class='charts'>{''.join(drawn[:OPEN])}</div>",
    ]
    if drawn[OPEN:]:
        rest = f"<summary>{len(drawn) - OPEN} more scores</summary><div class='charts'>{''.join(drawn[OPEN:])}</div>"
        parts.append(f"<details>{rest}</details>")
    return "".join([*parts, "</section>"])


def _rank(name: str, selected: str) -> tuple[bool, int]:
    """Sort key of a score: the selection metric first, then the scores of the tiles, then the rest."""
    metric = name.partition("/")[2]
    return name != selected, TILES.index(metric) if metric in TILES else len(TILES)


def _confusion(predictions: Predictions, title: str) -> str:
    if predictions.multi_label or not predictions.usable:
        why = "There is no confusion matrix for multi-label predictions."
        why = why if predictions.multi_label else "The predictions are not finite."
        return f"<section><h2>Confusion matrix</h2><p>{why}</p></section>"
    drawn = confusion_chart(confusion(predictions), predictions.labels, title)
    words = f"{escape(title)}: rows are true classes, columns are predicted classes"
    return f"<section><h2>Confusion matrix</h2><p class='quiet'>{words}</p><div class='wide'>{drawn}</div></section>"


def _players(players: Sequence[ClipPlayer], predictions: Predictions) -> str:
    if predictions.multi_label:
        rows = "".join(_player(player) for player in players)
        return f"<section><h2>Clips with the largest loss</h2><ul class='players'>{rows}</ul></section>"
    if not predictions.usable:
        return ""
    pairs = most_confused(predictions, 8)
    if not pairs:
        return "<section><h2>Most confused pairs</h2><p>All clips were classified correctly.</p></section>"
    support = Counter(int(target) for target in predictions.targets)
    parts = ["<section><h2>Most confused pairs</h2>"]
    for true, given, count in pairs:
        left, right = predictions.labels[true], predictions.labels[given]
        heading = f"{escape(left)} <span class='quiet'>predicted as</span> {escape(right)}"
        parts.append(f"<h3>{heading} <span class='quiet'>{count} of {support[true]} clips</span></h3>")
        own = [player for player in players if (player.true, player.given) == (left, right)]
        parts.append(f"<ul class='players'>{''.join(_player(player) for player in own)}</ul>" if own else "")
    return "".join([*parts, "</section>"])


def _player(player: ClipPlayer) -> str:
    words = f"<span>{escape(player.name)}</span><span class='quiet'>is {escape(player.true)}, predicted as "
    words += f"{escape(player.given)} {player.probability:.2f}</span>"
    if player.wav is None:
        return f"<li>{words}<span class='quiet'>audio not available</span></li>"
    data = base64.b64encode(player.wav).decode("ascii")
    return f"<li>{words}<audio controls preload='none' src='data:audio/wav;base64,{data}'></audio></li>"


def _table(classes: Sequence[ClassScores]) -> str:
    """Classes by ascending F1; classes without clips last."""
    order = sorted(classes, key=lambda row: (math.isnan(row.f1), row.f1 if not math.isnan(row.f1) else 0.0))
    head = "".join(f"<th>{name}</th>" for name in ("F1", "precision", "recall", "AP", "ROC AUC", "clips"))
    parts = [f"<section><h2>Classes by F1, lowest first</h2><div class='wide'><table><tr><th>class</th>{head}</tr>"]
    for row in order:
        numbers = (row.precision, row.recall, row.average_precision, row.roc_auc)
        cells = "".join(f"<td>{_number(value)}</td>" for value in numbers)
        filled = 0.0 if math.isnan(row.f1) else row.f1
        bar = f"<td class='bar' style='--filled:{100 * filled:.0f}%'>{_number(row.f1)}</td>"
        parts.append(f"<tr><th>{escape(row.label)}</th>{bar}{cells}<td>{row.support}</td></tr>")
    absent = "<p class='quiet'>A dash: the class has no clips, or the score is undefined.</p>"
    return "".join([*parts, "</table></div>", absent, "</section>"])


def _commands(content: ReportContent) -> str:
    if content.record is None:
        return ""
    model, written = content.folder / "best_model", content.folder / "settings.yaml"
    commands = (
        shell_command("pannsdist", "predict", "--model", model, "FILE..."),
        shell_command("pannsdist", "evaluate", "--model", model, "-c", written),
    )
    lines = "\n".join(commands)
    return f"<section><h2>Use the model</h2><pre>{escape(lines)}</pre></section>"


def _settings(settings: Mapping[str, Any]) -> str:
    rows = "".join(f"<tr><th>{escape(key)}</th><td>{escape(_text(value))}</td></tr>" for key, value in settings.items())
    return (
        f"<section><h2>Settings</h2><details><summary>all settings</summary><table>{rows}</table></details></section>"
    )


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _number(value: float) -> str:
    return "–" if math.isnan(value) else "∞" if math.isinf(value) else f"{value:.4f}"
