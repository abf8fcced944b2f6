"""The section of a report about confused classes: the matrix, the most confused pairs, and clips of them."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Sequence
from html import escape

import numpy as np

from pannsdist.contracts.predictions import most_mistaken
from pannsdist.run.report.confusion_chart import DRAWN_CLASSES, confusion_chart, confusion_image
from pannsdist.run.report.content import ClipPlayer
from pannsdist.run.report.spectrum_chart import spectrogram_chart
from pannsdist.training.metrics import Predictions, confusion, most_confused

HALF_CLASSES = 12
"""Maximum number of classes for a matrix beside the list of pairs; a larger one has the whole width."""
PAIRS, PART = 8, 30


def confusions_section(players: Sequence[ClipPlayer], predictions: Predictions, title: str) -> str:
    """Matrix, pairs and players of single-label predictions."""
    if not predictions.usable:
        return "<section><h2>Confusion matrix</h2><p>The predictions are not finite.</p></section>"
    beside = " halves" if len(predictions.labels) <= HALF_CLASSES else ""
    parts = "".join(f"<div>{part}</div>" for part in (_matrix(predictions, title), _pairs(predictions)))
    both = f"<section class='both{beside}'>{parts}</section>"
    if not players:
        return both
    items = (player_item(one, f"probability {one.probability:.2f}", one.true, one.given) for one in players)
    words = "The most confident mistakes of these pairs, as the network reads them."
    listed = f"<p class='quiet'>{words}</p><ul class='players'>{''.join(items)}</ul>"
    return f"{both}\n<section><h2>Confused clips</h2>{listed}</section>"


def _matrix(predictions: Predictions, title: str) -> str:
    """The matrix as a chart; of many classes, those of the most confused pairs, and all of them as a picture."""
    matrix, labels = confusion(predictions), predictions.labels
    words = f"{escape(title)}: rows are true classes, columns are predicted classes"
    more = ""
    if len(labels) > DRAWN_CLASSES:
        columns = most_mistaken(matrix, PART)
        whole = confusion_image(matrix, labels, title)
        more = f"<details><summary>all {len(labels)} classes, by index</summary>{whole}</details>"
        words += f"; the {len(columns)} of {len(labels)} classes that are confused most"
        matrix, labels = matrix[np.ix_(columns, columns)], tuple(labels[column] for column in columns)
    drawn = f"<div class='wide'>{confusion_chart(matrix, labels)}</div>"
    return f"<h2>Confusion matrix</h2><p class='quiet'>{words}</p>{drawn}{more}"


def _pairs(predictions: Predictions) -> str:
    pairs = most_confused(predictions, PAIRS)
    if not pairs:
        return "<h2>Most confused pairs</h2><p>All clips were classified correctly.</p>"
    support = Counter(int(target) for target in predictions.targets)
    rows = [
        f"<tr><td>{escape(predictions.labels[true])}</td><td>{escape(predictions.labels[given])}</td>"
        f"<td>{count} of {support[true]} clips</td></tr>"
        for true, given, count in pairs
    ]
    head = "<tr><th>true class</th><th>predicted as</th><th></th></tr>"
    return f"<h2>Most confused pairs</h2><table>{head}{''.join(rows)}</table>"


def player_item(player: ClipPlayer, words: str, true: str = "", given: str = "") -> str:
    """The list entry of a clip with its spectrogram and its sound; with `true` and `given`, these are its heading."""
    heading = f"<b>{escape(true)} <span class='quiet'>predicted as</span> {escape(given)}</b>" if true else ""
    if player.wav is None or player.picture is None:
        return clip_item(player.name, words, heading, "<span class='quiet'>audio not available</span>")
    data = base64.b64encode(player.wav).decode("ascii")
    sound = f"<audio controls preload='none' src='data:audio/wav;base64,{data}'></audio>"
    return clip_item(player.name, words, heading, f"{spectrogram_chart(player.picture)}{sound}")


def clip_item(name: str, words: str, heading: str = "", content: str = "") -> str:
    """The list entry of a clip; `heading` and `content` are markup."""
    return f"<li>{heading}<span>{escape(name)}</span><span class='quiet'>{escape(words)}</span>{content}</li>"
