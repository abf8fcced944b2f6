"""The answers of a model to the sounds of a request, as they are sent in JSON: those of `Model`, field by field."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from pannsdist.audio.encoded import PassingSound
from pannsdist.audio.reader import missing_part
from pannsdist.audio.verdicts import Verdict
from pannsdist.inference.answers import Answer, Detection
from pannsdist.inference.model import Model
from pannsdist.runtime.errors import BadClip
from pannsdist.serving.failures import of_user_error
from pannsdist.serving.parameters import DetectParameters, Parameters, PredictParameters, TagParameters

Sounds = Sequence[PassingSound]


def predicted(model: Model, sounds: Sounds, chosen: PredictParameters) -> list[dict[str, Any]]:
    """`Model.predict`. Raises BadClip."""
    return [_scores(one) for one in model.predict(list(sounds), topk=chosen.topk, on_bad=chosen.on_bad)]


def tagged(model: Model, sounds: Sounds, chosen: TagParameters) -> list[dict[str, Any]]:
    """`Model.tag`. Raises BadClip."""
    return [_scores(one) for one in model.tag(list(sounds), threshold=chosen.threshold, on_bad=chosen.on_bad)]


def detected(model: Model, sounds: Sounds, chosen: DetectParameters) -> list[dict[str, Any]]:
    """`Model.detect`. Raises BadClip."""
    rule = {"threshold": chosen.threshold, "min_duration_s": chosen.min_duration_s, "min_gap_s": chosen.min_gap_s}
    return [_events(one) for one in model.detect(list(sounds), on_bad=chosen.on_bad, **rule)]  # type: ignore[arg-type]


def embedded(model: Model, sounds: Sounds, chosen: Parameters) -> list[dict[str, Any]]:
    """`Model.embed`, with what it warns of. Raises BadClip."""
    found = []
    for one in model.predictor.embeddings(sounds):
        if one.error is not None and chosen.on_bad == "stop":
            raise one.error
        vector = {} if one.error is not None else {"embedding": one.vector.tolist()}
        incomplete = None if one.error is not None else missing_part(one.source)
        found.append(_record(str(one.source), vector, one.error, one.remarks, incomplete))
    return found


def _scores(one: Answer) -> dict[str, Any]:
    scores = [{"label": label, "score": score} for label, score in one.scores.items()]
    decision = None if one.decision is None else list(one.decision)
    fields = {"scores": scores, "decision": decision, "energy": one.energy}
    return _record(one.sound, fields, one.error, one.remarks, one.incomplete)


def _events(one: Detection) -> dict[str, Any]:
    fields = {"events": [asdict(event) for event in one.events]}
    return _record(one.sound, fields, one.error, one.remarks, one.incomplete)


def _record(
    sound: str,
    fields: Mapping[str, Any],
    error: BadClip | None,
    remarks: Sequence[str],
    incomplete: Verdict | None,
) -> dict[str, Any]:
    """The result of one sound: what was found in it, or `error`."""
    if error is not None:
        return {"sound": sound, "error": of_user_error(error, "bad_sound").record}
    more = {"remarks": list(remarks), "incomplete": None if incomplete is None else incomplete.record}
    return {"sound": sound, **fields, **more}


Answering = Callable[[Model, Sounds, Any], list[dict[str, Any]]]
