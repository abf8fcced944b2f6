"""Where published files lie on this machine, and how a file proves to be the right one."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlparse

from pannsdist.contracts import Pretrained
from pannsdist.runtime.errors import BadWeightsFile, UserError
from pannsdist.runtime.storage import write_atomic


@dataclass(frozen=True)
class Remote:
    """A file at an address, and its place on this machine.

    `checksum` is `sha256:` or `md5:` and hexadecimal digits, or empty; `size_bytes` is 0 where it is not known. `tells`
    means that the file itself shows whether it is whole, as an archive does. `otherwise` is a further way out, and
    `error` what is raised.
    """

    url: str
    path: Path
    checksum: str = ""
    size_bytes: int = 0
    tells: bool = False
    otherwise: str = ""
    error: type[UserError] = BadWeightsFile


def remote(weights: Pretrained) -> Remote:
    """The file of a published set of weights."""
    checksum = f"sha256:{weights.sha256.lower()}" if weights.sha256 else ""
    otherwise = "or give a file: model.weights=FILE"
    return Remote(weights.url, place(weights.url), checksum, weights.size_bytes, otherwise=otherwise)


def home() -> Path:
    """`PANNSDIST_HOME`, else `pannsdist` in the user's cache folder."""
    chosen = os.environ.get("PANNSDIST_HOME")
    if chosen:
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "pannsdist"


def place(url: str) -> Path:
    """Where the file of an address lies or will lie: always directly in the cache, whatever the address says."""
    return home() / "weights" / file_name(url, "weights", BadWeightsFile)


def file_name(url: str, what: str, error: type[UserError]) -> str:
    """The plain name at the end of an address; refused where it has none, or is neither https nor http."""
    parts = urlparse(url)
    if parts.scheme not in ("https", "http") or not parts.netloc:
        raise error(f"{what} are fetched over https and http alone, not from {url!r}", "mend the plugin")
    name = PurePosixPath(unquote(parts.path)).name
    if not name.isprintable() or name.startswith(".") or not name:
        raise error(f"the address {url!r} does not end in the name of a file", "mend the plugin")
    return name


def pin_place(path: Path) -> Path:
    """Where the checksum of a file is kept for which none is published; `sha256sum -c` reads it."""
    return path.with_name(f"{path.name}.sha256")


def expected(file: Remote) -> str:
    """The published checksum, else the one kept from the first download; empty where there is neither."""
    if file.checksum:
        return file.checksum
    pin = pin_place(file.path)
    try:
        lines = pin.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return ""
    pinned_url, kept = (lines[0].removeprefix("# "), lines[1].partition(" ")[0]) if len(lines) > 1 else ("", "")
    if pinned_url != file.url:
        wrong = f"{file.path} is kept as the file of {pinned_url or 'an unknown address'}, not of {file.url}"
        right = f"neither has a published checksum, so they cannot be told apart; move it and {pin} away"
        raise file.error(wrong, right)
    return f"sha256:{kept}"


def verify(found: Path, file: Remote) -> None:
    """Refuse what is not the file that its place is to hold; where nothing is known of that, keep its checksum."""
    kind, _, wanted = expected(file).partition(":")
    came = digest(found, kind or "sha256")
    if not wanted:
        write_atomic(pin_place(file.path), f"# {file.url}\n{came}  {file.path.name}\n")
    elif came != wanted.lower():
        if file.checksum:
            right = f"it should be {wanted}, as published: remove it and fetch {file.url} again"
        else:
            right = f"it was {wanted} at the first download, kept in {pin_place(file.path)}\n"
            right += "none is published; remove both only if you know why the file has changed"
        raise file.error(f"{found} has {kind} {came}", right)


def sha256(path: Path) -> str:
    """The file's SHA-256 in hexadecimal digits."""
    return digest(path, "sha256")


def digest(path: Path, kind: str) -> str:
    """The file's checksum of a kind that hashlib knows, in hexadecimal digits."""
    computed = hashlib.new(kind, usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            computed.update(block)
    return computed.hexdigest()
