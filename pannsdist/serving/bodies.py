"""From the body of a request to sounds and parameters: a form, JSON with base64, or the bytes of one sound."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any
from urllib.parse import parse_qsl

from pannsdist.audio.encoded import PassingSound
from pannsdist.runtime.foreign import parse_json
from pannsdist.serving.failures import Refused
from pannsdist.serving.multipart import read_parts

FORM, JSON, RAW = "multipart/form-data", "application/json", "application/octet-stream"
MAX_NAME = 200
PARTS_FACTOR = 4
"""A number in JSON may have as few as four letters: samples, as clients of PaddleHub send them."""


@dataclass(frozen=True)
class Received:
    """A request whose body is whole: its content type and body, and the query of its address."""

    content_type: str
    body: bytes
    query: str = ""


@dataclass(frozen=True)
class Asked:
    """The sounds of a request, and its parameters as they were given."""

    sounds: list[PassingSound]
    parameters: Mapping[str, Any]


def asked(received: Received, check: Callable[[], None]) -> Asked:
    """What a request asks for; reading its sounds calls `check`. Raises Refused."""
    kind = received.content_type.partition(";")[0].strip().lower()
    try:
        pairs = parse_qsl(received.query, keep_blank_values=True, max_num_fields=100, errors="replace")
    except ValueError as error:
        raise Refused(422, "bad_parameter", "the query has more than 100 fields") from error
    if kind == FORM:
        sounds, more = _of_form(received)
    elif kind == JSON:
        sounds, more = _of_json(received.body)
    elif kind.startswith(("audio/", "video/")) or kind == RAW:
        sounds, more = [("sound", received.body)], []
    else:
        right = f"send {FORM} with a field `file`, {JSON} with `audio`, or audio/* with the bytes of one sound"
        raise Refused(415, "unsupported_media_type", f"the content type is '{kind or 'missing'}'", right)
    if not sounds:
        raise Refused(422, "no_sound", "the request has no sound", "send one or several fields `file`")
    return Asked([PassingSound(name, content, check) for name, content in sounds], _once([*pairs, *more]))


def _of_form(received: Received) -> tuple[list[tuple[str, bytes]], list[tuple[str, Any]]]:
    sounds, more = [], []
    for part in read_parts(received.body, received.content_type):
        if part.name == "file":
            sounds.append((_file_name(part.file or "") or f"file[{len(sounds)}]", bytes(part.content)))
        else:
            more.append((part.name, part.content[:MAX_NAME].decode("utf-8", "replace")))
    return sounds, more


def _of_json(body: bytes) -> tuple[list[tuple[str, bytes]], list[tuple[str, Any]]]:
    record = read_json(body)
    given = record.pop("audio", None)
    texts = given if isinstance(given, list) else [given]
    sounds = [(f"audio[{number}]", decoded_base64(text, f"audio[{number}]")) for number, text in enumerate(texts)]
    return sounds, [*record.items()]


def read_json(body: bytes) -> dict[str, Any]:
    """A JSON object. Raises Refused, 422."""
    try:
        record = parse_json(body, "the body", PARTS_FACTOR * len(body))
    except ValueError as error:
        raise Refused(422, "bad_body", str(error), 'send {"audio": "BASE64"}') from error
    if not isinstance(record, dict):
        raise Refused(422, "bad_body", "the body is no JSON object", 'send {"audio": "BASE64"}')
    return record


def decoded_base64(text: object, name: str) -> bytes:
    """The bytes of a text in base64. Raises Refused, 422."""
    try:
        if isinstance(text, str):
            return base64.b64decode(text, validate=True)
        why = f"it is {type(text).__name__}, not text"
    except (binascii.Error, ValueError) as error:
        why = str(error)
    right = "give the bytes of a sound file in base64, or a list of such texts"
    raise Refused(422, "bad_body", f"{name} is no base64: {why}", right)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise Refused(422, "bad_parameter", f"the parameter '{name[:MAX_NAME]}' is given twice")
        found[name] = value
    return found


def _file_name(text: str) -> str:
    """The last part of the name of a file, from Windows or elsewhere; it is for messages only."""
    return PureWindowsPath(PurePosixPath(text).name).name[-MAX_NAME:]
