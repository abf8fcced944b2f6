"""The report as an HTML page with inline style. All text from data is escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from pannsdist.run.next_step import sound_command
from pannsdist.run.report.charts import line_chart
from pannsdist.run.report.classes import mistakes_section, table_section
from pannsdist.run.report.confusions import clip_item, confusions_section, player_item
from pannsdist.run.report.content import ClipPlayer, ReportContent
from pannsdist.run.report.decisions import decisions_section
from pannsdist.run.report.origin import clips_section, day, origin_section
from pannsdist.run.report.style import STYLE
from pannsdist.run.report.thresholds import thresholds_section
from pannsdist.runtime.errors import shell_command
from pannsdist.runtime.figures import duration, score
from pannsdist.training.metrics import Predictions

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
        if predictions.multi_label:
            sections.append(_mistakes(content.players, predictions))
        else:
            sections.append(confusions_section(content.players, predictions, title))
        sections += [table_section(content.classes)]
        sections += [thresholds_section(predictions, content.classes, content.kept.split)]
        decisions = content.record.decisions if content.record else None
        sections += [decisions_section(predictions, decisions, content.kept.split)]
    sections += [_commands(content), _origin(content), _clips(content), _settings(content.settings)]
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
    weights = Path(str(content.settings.get("model.weights") or "random weights")).name
    facts = [record.model.name, f"from {weights}", record.dataset.name, f"{len(record.labels)} classes"]
    facts += [day(content.history.starts[0].date)] if content.history.starts else []
    facts.append(duration(sum(float(line["seconds"]) for line in content.scores)))
    lines.append(f"<p class='quiet'>{escape(' · '.join(facts))}</p>")
    split, _, selected = record.metric.partition("/")
    own = [key.removeprefix("metrics.") for key in record.further if key.startswith("metrics.")]
    names = dict.fromkeys((selected, *own, *TILES))
    shown = [name for name in names if f"{split}/{name}" in record.scores][:6]
    lines.append("<div class='tiles'>")
    for name in shown:
        kind = "tile chosen" if name == selected else "tile"
        value = score(record.scores[f"{split}/{name}"])
        words = f"{escape(split)}/{escape(name)}".replace("_", "_<wbr>")
        interval = content.intervals.get(f"{split}/{name}")
        within = f"<span>95 %: {interval}</span>" if interval else ""
        lines.append(f"<div class='{kind}'><b>{value}</b><span>{words}</span>{within}</div>")
    lines.append("</div>")
    best = f"Epoch {record.epoch} of {last['epoch']} was the best by {escape(record.metric)}; these are its scores."
    if record.metric not in record.scores:
        best = f"All clips were trained on, and none chose an epoch; the model is that of epoch {record.epoch}."
    return "".join([*lines, f"<p class='quiet'>{best} {escape(_counted(content))}</p></header>"])


def _counted(content: ReportContent) -> str:
    """How many clips the scores are of, and what the intervals are."""
    if content.kept is None:
        return ""
    predictions = content.kept.predictions
    of_groups = f" of {len(set(predictions.groups))} groups" if predictions.groups else ""
    drawn = "groups" if predictions.groups else "clips"
    words = f" 95 %: interval of a bootstrap over the {drawn}." if content.intervals else ""
    return f"{content.kept.split} has {len(predictions.ids)} clips{of_groups}.{words}"


def _notes(notes: Sequence[str]) -> str:
    return "".join(f"<p class='note'>{escape(note)}</p>" for note in dict.fromkeys(notes))


def _test(content: ReportContent) -> str:
    """The scores of the test split, apart from those that the model was chosen by."""
    test = content.test
    if test is None:
        return ""
    words = f"{test.clips} clips, evaluated once, after the choice, with the model of epoch {test.epoch}. "
    words += "The scores above are of the clips that the epoch was chosen on; these are not."
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{score(value)}</td></tr>" for name, value in test.scores.items())
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


def _mistakes(players: Sequence[ClipPlayer], predictions: Predictions) -> str:
    """The mistakes of each class; a clip has its player where it is listed first."""
    left = {player.name: player for player in players}

    def entry(name: str, words: str) -> str:
        return player_item(left.pop(name), words) if name in left else clip_item(name, words)

    return mistakes_section(predictions, entry)


def _origin(content: ReportContent) -> str:
    seconds = sum(float(line["seconds"]) for line in content.scores)
    return origin_section(content.history, seconds, content.record.versions if content.record else {})


def _clips(content: ReportContent) -> str:
    found = dict.fromkeys(label for counts in content.class_clips.values() for label in counts)
    labels = content.record.labels if content.record else content.kept.predictions.labels if content.kept else [*found]
    return clips_section(labels, content.clips, content.class_clips)


def _commands(content: ReportContent) -> str:
    if content.record is None:
        return ""
    model, written = content.folder / "best_model", content.folder / "settings.yaml"
    commands = (
        sound_command(model, bool(content.record.frame_samples)),
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
