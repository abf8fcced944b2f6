"""What the methods of a model give for one sound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pannsdist.runtime.errors import BadClip
from pannsdist.runtime.names import shown

if TYPE_CHECKING:
    from pannsdist.audio.verdicts import Verdict
    from pannsdist.inference.detection import Event
    from pannsdist.inference.predictor import Prediction


@dataclass(frozen=True)
class Answer:
    """The probability of each label in one sound, highest first; or the error of a bad sound.

    `incomplete` says how much was read of a file that is cut or damaged; None for a whole one. `remarks` say what is
    unusual about its levels, such as silence or channels that cancel each other. `decision` are the labels that a model
    with fitted decisions answers, the most probable first, and empty for none of these; None of any other model.
    `energy` is how much the sound looks like one of a known class.
    """

    sound: str
    scores: Mapping[str, float] = field(default_factory=dict)
    error: BadClip | None = None
    remarks: tuple[str, ...] = ()
    incomplete: Verdict | None = None
    decision: tuple[str, ...] | None = None
    energy: float | None = None


@dataclass(frozen=True)
class Detection:
    """The events of one sound, sorted by onset; or the error of a bad sound. `remarks`, `incomplete`: see `Answer`."""

    sound: str
    events: Sequence[Event] = ()
    error: BadClip | None = None
    remarks: tuple[str, ...] = ()
    incomplete: Verdict | None = None


def answered(prediction: Prediction, scores: Mapping[str, float]) -> Answer:
    """The answer of a prediction, with these of its scores."""
    more = (prediction.error, prediction.remarks, prediction.incomplete, prediction.decision, prediction.energy)
    return Answer(shown(prediction.source), scores, *more)
