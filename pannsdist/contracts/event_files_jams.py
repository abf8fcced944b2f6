"""Labels of events in JAMS, as Scaper writes soundscapes. See `event_files`.

Source: E. J. Humphrey and others, "JAMS: A JSON Annotated Music Specification for Reproducible MIR Research", ISMIR
2014; the namespaces `scaper` and `sound_event` are those of J. Salamon and others, "Scaper", WASPAA 2017.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NoReturn

import numpy as np

from pannsdist.contracts.label_rows import LabelRows, joined_rows, seconds
from pannsdist.contracts.locations import Location
from pannsdist.runtime.errors import UserError
from pannsdist.runtime.foreign import parse_json
from pannsdist.runtime.names import shown

__all__ = ["jams_rows"]

SCAPER, OPEN = ("scaper", "sound_event"), ("segment_open", "tag_open")
PLACES = 9
"""Of seconds: a sum is not exact, and events that touch must not overlap by it."""
RIGHT = "an annotation in the namespace scaper has data with time, duration and value, of which role and label"


def jams_rows(file: Location, text: str, sound: str) -> LabelRows:
    """The foreground events of the one soundscape of a file, and its length. Raises UserError."""
    try:
        content = parse_json(text.encode(), "a soundscape")
        annotations, metadata = content["annotations"], content.get("file_metadata") or {}
        events = [event for one in annotations for event in _events(file, one)]
        length_s = metadata.get("duration")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{file}: not JAMS: {type(error).__name__}: {error}", RIGHT) from error
    rows = events or [(np.nan, np.nan, "")]
    times_s = np.array([(onset_s, offset_s) for onset_s, offset_s, _ in rows], np.float64).T
    found = LabelRows.of_events(file, [0] * len(rows), [sound] * len(rows), times_s, [label for *_, label in rows])
    if length_s is None:
        return found
    if type(length_s) not in (int, float) or not 0 < seconds(length_s) < np.inf:
        raise UserError(
            f"{file}: file_metadata.duration is {shown(length_s)}"[:200], "it is a number of seconds above 0"
        )
    return joined_rows([found, LabelRows.of_lengths(file, [0], [sound], np.array([length_s], np.float64))])


def _events(file: Location, annotation: Any) -> Iterator[tuple[float, float, str]]:
    namespace = annotation["namespace"]
    if namespace not in (*SCAPER, *OPEN):
        return
    for event in annotation["data"]:
        value = event["value"]
        if namespace in SCAPER and value["role"] != "foreground":
            continue
        label = value["label"] if namespace in SCAPER else value
        onset_s, duration_s = event["time"], event["duration"]
        if type(label) is not str or any(type(one) not in (int, float) for one in (onset_s, duration_s)):
            _refuse(file, event)
        if not label.strip():
            _refuse(file, event)
        yield seconds(onset_s), round(seconds(onset_s) + seconds(duration_s), PLACES), shown(label.strip())


def _refuse(file: Location, event: Any) -> NoReturn:
    raise UserError(f"{file}: an event is {shown(event)}"[:300], RIGHT)
