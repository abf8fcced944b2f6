"""The sections of a report about single classes: their scores, and with several labels per clip their mistakes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape

import numpy as np

from pannsdist.runtime.figures import score
from pannsdist.training.metrics import (
    CLASS_SCORES,
    ClassScores,
    Mistake,
    Predictions,
    class_means,
    confident_mistakes,
)
from pannsdist.training.metrics.classification import class_f1

MISTAKEN_CLASSES, MISTAKES_OF_A_CLASS = 8, 3
COLUMNS = {
    "f1": "F1",
    "precision": "precision",
    "recall": "recall",
    "average_precision": "AP",
    "roc_auc": "ROC AUC",
}


def _lowest_first(f1: Sequence[float]) -> list[int]:
    """The classes from the lowest F1 on; those without one last."""
    return sorted(range(len(f1)), key=lambda column: (math.isnan(f1[column]), f1[column], column))


def shown_mistakes(predictions: Predictions) -> list[list[Mistake]]:
    """The most confident mistakes of the classes with the lowest F1, a list for each class that has any."""
    if not predictions.usable:
        return []
    order = _lowest_first(np.where(predictions.present, class_f1(predictions), math.nan).tolist())
    found = (confident_mistakes(predictions, column, MISTAKES_OF_A_CLASS) for column in order)
    return [mistakes for mistakes in found if mistakes][:MISTAKEN_CLASSES]


def mistakes_section(predictions: Predictions, item: Callable[[str, str], str]) -> str:
    """The mistakes of each class; `item(id, words)` is the list entry of a clip."""
    groups = shown_mistakes(predictions)
    if not groups:
        text = "All labels were predicted correctly." if predictions.usable else "The predictions are not finite."
        return f"<section><h2>Most confident mistakes</h2><p>{text}</p></section>"
    truth, given = predictions.positives, predictions.guessed
    parts = [
        "<section><h2>Most confident mistakes</h2><p class='quiet'>Classes by F1, lowest first. Missed: the clip has "
        "the label, with a probability below 0.5. Wrong: it is predicted, and the clip does not have it.</p>"
    ]
    for mistakes in groups:
        column = mistakes[0].column
        missed, wrong = (int(np.count_nonzero(one[:, column])) for one in (truth & ~given, given & ~truth))
        counts = f"{missed} of {int(truth[:, column].sum())} clips missed, {wrong} wrong"
        parts.append(f"<h3>{escape(predictions.labels[column])} <span class='quiet'>{counts}</span></h3>")
        entries = (item(predictions.ids[one.row], _words(one, predictions)) for one in mistakes)
        parts.append(f"<ul class='players'>{''.join(entries)}</ul>")
    return "".join([*parts, "</section>"])


def _words(mistake: Mistake, predictions: Predictions) -> str:
    labels = [predictions.labels[column] for column in np.flatnonzero(predictions.positives[mistake.row])]
    kind = "missed" if mistake.is_missed else "wrong"
    return f"{kind}, probability {mistake.probability:.2f}; is {', '.join(labels) or 'no label'}"


def table_section(classes: Sequence[ClassScores]) -> str:
    """The scores of each class by ascending F1, and their means; classes without clips last."""
    head = "".join(f"<th>{name}</th>" for name in (*COLUMNS.values(), "clips", "predicted"))
    parts = [f"<section><h2>Classes by F1, lowest first</h2><div class='wide'><table><tr><th>class</th>{head}</tr>"]
    for column in _lowest_first([one.f1 for one in classes]):
        row = classes[column]
        filled = 0.0 if math.isnan(row.f1) else row.f1
        first, *others = (score(getattr(row, name)) for name in COLUMNS)
        bar = f"<td class='bar' style='--filled:{100 * filled:.0f}%'>{first}</td>"
        cells = "".join(f"<td>{text}</td>" for text in (*others, row.support, row.predicted))
        parts.append(f"<tr><th>{escape(row.label)}</th>{bar}{cells}</tr>")
    means = class_means(classes)
    cells = "".join(f"<td>{score(means[name].value)}</td>" for name in COLUMNS)
    parts.append(f"<tr><th class='quiet'>mean</th>{cells}<td></td><td></td></tr></table></div>")
    return "".join([*parts, f"<p class='quiet'>{_counted(classes)}</p></section>"])


def _counted(classes: Sequence[ClassScores]) -> str:
    """What the means are over, and which classes are not in them."""
    counts = {name: mean.classes for name, mean in class_means(classes).items()}
    over = {count: [COLUMNS[name] for name in CLASS_SCORES if counts[name] == count] for count in counts.values()}
    listed = "; ".join(f"{', '.join(names)}: {count} of {len(classes)} classes" for count, names in over.items())
    same = f"The means are over {next(iter(over))} of {len(classes)} classes." if len(over) == 1 else ""
    absent = [one.label for one in classes if one.support == 0]
    note = f" Without clips, so without scores and in no mean: {escape(', '.join(absent))}." if absent else ""
    return f"{same or f'The means are over these classes: {listed}.'} A dash: the score is undefined.{note}"
