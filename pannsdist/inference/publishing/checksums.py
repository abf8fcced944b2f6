"""The files of a published model, and `SHA256SUMS`, their checksums in the format of sha256sum."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from pannsdist.inference.bundle import RECORD_FILE, WEIGHTS_FILE
from pannsdist.runtime import reading, storage
from pannsdist.runtime.errors import BadBundle
from pannsdist.runtime.foreign import MAX_JSON_BYTES
from pannsdist.weights.downloads.cache import sha256

CARD_FILE, SUMS_FILE = "README.md", "SHA256SUMS"
MAX_BYTES = {RECORD_FILE: MAX_JSON_BYTES, WEIGHTS_FILE: 8 << 30, CARD_FILE: 1 << 20, SUMS_FILE: 1 << 16}
"""The files of a published model, by the largest size of each."""
FETCHED = (RECORD_FILE, WEIGHTS_FILE, SUMS_FILE)
"""What is fetched of a repository, and nothing else: the card is for readers, who may edit it on the hub."""
_LINE = re.compile(r"([0-9a-f]{64})  (\S+)")


def write_sums(folder: Path, names: Iterable[str]) -> None:
    """Write the checksums of files of a folder beside them; `sha256sum -c` reads them."""
    text = "".join(f"{sha256(folder / name)}  {name}\n" for name in names)
    storage.write_file(folder / SUMS_FILE, text)


def verify(folder: Path, place: object, right: str, command: str = "") -> None:
    """Raise BadBundle unless each file that is fetched of a model is in `folder` with its checksum.

    `place` names the model in the message. Raises CannotRead.
    """
    known = _sums(folder, place, right)
    for name in (RECORD_FILE, WEIGHTS_FILE):
        path = folder / name
        try:
            found = reading.retried(lambda path=path: sha256(path))  # type: ignore[misc]
        except OSError as error:
            raise reading.cannot_read(path, error) from error
        if known.get(name) != found:
            wrong = f"{name} of {place} is damaged: its SHA-256 is {found[:12]}..., not that in {SUMS_FILE}"
            raise BadBundle(wrong, right, command)


def _sums(folder: Path, place: object, right: str) -> dict[str, str]:
    """The checksums by name. Raises BadBundle for a file with anything else, and where a needed file is missing."""
    if lost := [name for name in FETCHED if not reading.exists(folder / name)]:
        raise BadBundle(f"{place} has no {', '.join(lost)}", right)
    raw = (folder / SUMS_FILE).read_bytes()[: MAX_BYTES[SUMS_FILE]]
    found = [_LINE.fullmatch(line) for line in raw.decode("utf-8", "replace").splitlines()]
    names = [one[2] for one in found if one]
    if None in found or len(set(names)) != len(names) or not set(names) <= set(MAX_BYTES):
        raise BadBundle(f"{SUMS_FILE} of {place} is not one that `pannsdist publish` writes", right)
    return {one[2]: one[1] for one in found if one}
