"""PaddleHub's requests: `POST /predict/NAME` as `hub serving` of PaddleHub 2 answers it, in its shape.

The address, the shape of answers and the statuses are those of PaddleHub's `paddlehub/serving/app_compat.py`, the keys
those of `AudioClassifierModule.predict` in `paddlehub/module/audio_module.py` (Apache-2.0); base64 is how PaddleHub's
modules for pictures take files.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from pannsdist.audio.encoded import PassingSound
from pannsdist.runtime.errors import UserError
from pannsdist.runtime.foreign import excerpt, reason
from pannsdist.serving.batching import Work
from pannsdist.serving.bodies import JSON, Received, decoded_base64, read_json
from pannsdist.serving.failures import Refused
from pannsdist.serving.service import Computing, Service

OK, FAILED, NOT_SERVED, NOT_JSON = "000", "101", "111", "112"
DATA, RATE, WITHOUT_EFFECT = "data", "sample_rate", ("batch_size", "feat_type", "use_gpu")


def computation(service: Service, name: str) -> Computing:
    """The computation of a request to a name; what PaddleHub answers with a status of its own, this does, too."""

    def compute(received: Received, work: Work) -> bytes:
        try:
            return _body(OK, "", _results(service, name, received, work))
        except Refused as refused:
            status = NOT_SERVED if refused.status == 404 else NOT_JSON if refused.status == 415 else FAILED
            if refused.status == 413:
                raise
            return _body(status, " ".join(filter(None, (refused.message, refused.hint))))
        except UserError as error:
            work.check()
            return _body(FAILED, str(error))

    return compute


def _body(status: str, message: str, results: object = "") -> bytes:
    return json.dumps({"status": status, "msg": message, "results": results}, ensure_ascii=False).encode()


def _results(service: Service, name: str, received: Received, work: Work) -> list[dict[str, float]]:
    """A dictionary for each sound, the most probable label first. Raises Refused, UserError."""
    _, model = service.served.find(name)
    if received.content_type.partition(";")[0].strip().lower() != JSON:
        raise Refused(415, "unsupported_media_type", f"send the request as {JSON}")
    given = read_json(received.body)
    for key in given:
        if key not in (DATA, RATE, *WITHOUT_EFFECT):
            raise Refused(422, "bad_parameter", f"there is no parameter '{excerpt(key)}'", f"{DATA}, {RATE}")
    items = given.get(DATA)
    if not isinstance(items, list) or not items:
        raise Refused(422, "no_sound", f"'{DATA}' is missing", "give a list of sounds: files in base64, or samples")
    if all(isinstance(item, str) for item in items):
        pairs = [(f"data[{place}]", decoded_base64(item, f"data[{place}]")) for place, item in enumerate(items)]
        sounds = [PassingSound(name, content, work.check) for name, content in pairs]
        service.measure(sounds)
        return [dict(one.scores) for one in model.predict(sounds)]
    arrays, rate_hz = [_samples(item, f"data[{place}]") for place, item in enumerate(items)], given.get(RATE)
    if isinstance(rate_hz, bool) or not isinstance(rate_hz, int | float):
        raise Refused(422, "bad_parameter", f"samples need '{RATE}', a number of Hz")
    service.require_length(len(arrays), sum(map(len, arrays)) / max(1.0, rate_hz))
    return [dict(one.scores) for one in model.predict(list(arrays), rate_hz)]


def _samples(item: Any, name: str) -> np.ndarray:
    """(S,) float32, or (S, channels). Raises Refused."""
    try:
        found: np.ndarray = np.asarray(item, np.float32)
        if found.ndim in (1, 2):
            return found
        why = f"it has {found.ndim} dimensions"
    except (TypeError, ValueError, OverflowError) as error:
        why = reason(error)
    raise Refused(422, "bad_body", f"{name} is no list of samples: {why}", "give floats in [-1, 1], or files in base64")
