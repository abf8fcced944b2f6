"""Reads a multipart body that is in memory."""

from __future__ import annotations

from dataclasses import dataclass, field

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from pannsdist.serving.failures import Refused

MAX_PARTS = 100
MAX_HEADER_BYTES = 8192


@dataclass
class Part:
    """A part of a body: the name of its field, that of its file if it has one, and its content."""

    name: str = ""
    file: str | None = None
    content: bytearray = field(default_factory=bytearray)


class _Reader:
    """Collects the parts, within bounds, from the callbacks of the parser."""

    def __init__(self, body: bytes) -> None:
        self.parts: list[Part] = []
        self._body = body
        self._header, self._value = bytearray(), bytearray()

    def callbacks(self) -> dict[str, object]:
        """By the names of the parser."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._add(self._header, data[start:end]),
            "on_header_value": lambda data, start, end: self._add(self._value, data[start:end]),
            "on_header_end": self._end_header,
            "on_part_data": lambda data, start, end: self.parts[-1].content.extend(data[start:end]),
        }

    def _begin(self) -> None:
        if len(self.parts) == MAX_PARTS:
            raise _bad(f"it has more than {MAX_PARTS} parts")
        self.parts.append(Part())

    def _add(self, to: bytearray, data: bytes) -> None:
        to.extend(data)
        if len(to) > MAX_HEADER_BYTES:
            raise _bad(f"a header of a part is longer than {MAX_HEADER_BYTES} bytes")

    def _end_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            _, options = parse_options_header(bytes(self._value))
            part = self.parts[-1]
            part.name = options.get(b"name", b"").decode("utf-8", "replace")
            if b"filename" in options:
                part.file = options[b"filename"].decode("utf-8", "replace")
        self._header.clear()
        self._value.clear()


def read_parts(body: bytes, content_type: str) -> list[Part]:
    """The parts of a body, in order. Raises Refused, 422."""
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if not boundary:
        raise _bad("the content type has no boundary")
    reader = _Reader(body)
    try:
        parser = MultipartParser(boundary, reader.callbacks())
        parser.write(body)
        parser.finalize()
    except MultipartParseError as error:
        raise _bad(str(error).splitlines()[0]) from error
    return reader.parts


def _bad(why: str) -> Refused:
    right = "send multipart/form-data with one or several fields `file`, as curl -F file=@sound.wav does"
    return Refused(422, "bad_body", f"the multipart body cannot be read: {why}", right)
