"""Where published weights lie on this machine, and how a file proves to be the right one."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlparse

from pannsdist.contracts import Pretrained
from pannsdist.errors import BadWeightsFile
from pannsdist.storage import write_whole


def home() -> Path:
    """`PANNSDIST_HOME`, else `pannsdist` in the user's cache folder."""
    chosen = os.environ.get("PANNSDIST_HOME")
    if chosen:
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "pannsdist"


def place(url: str) -> Path:
    """Where the file of an address lies or will lie: always directly in the cache, whatever the address says."""
    parts = urlparse(url)
    if parts.scheme not in ("https", "http") or not parts.netloc:
        raise BadWeightsFile(f"weights are fetched over https and http alone, not from {url!r}", "mend the plugin")
    name = PurePosixPath(unquote(parts.path)).name
    if not name.isprintable() or name.startswith(".") or not name:
        raise BadWeightsFile(f"the address {url!r} does not end in the name of a file", "mend the plugin")
    return home() / "weights" / name


def pin_place(path: Path) -> Path:
    """Where the checksum of a file is kept for which none is published; `sha256sum -c` reads it."""
    return path.with_name(f"{path.name}.sha256")


def expected_sha256(weights: Pretrained, path: Path) -> str:
    """The published checksum, else the one kept from the first download; empty where there is neither."""
    if weights.sha256:
        return weights.sha256.lower()
    try:
        lines = pin_place(path).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return ""
    pinned_url, digest = (lines[0].removeprefix("# "), lines[1].partition(" ")[0]) if len(lines) > 1 else ("", "")
    if pinned_url != weights.url:
        wrong = f"{path} is kept as the file of {pinned_url or 'an unknown address'}, not of {weights.url}"
        right = f"neither has a published checksum, so they cannot be told apart; move it and {pin_place(path)} away"
        raise BadWeightsFile(wrong, right)
    return digest


def verify(file: Path, weights: Pretrained, path: Path) -> None:
    """Refuse a file that is not what `path` is to hold; where nothing is known of that, keep its checksum."""
    found, expected = sha256(file), expected_sha256(weights, path)
    if not expected:
        write_whole(pin_place(path), f"# {weights.url}\n{found}  {path.name}\n")
    elif found != expected:
        if weights.sha256:
            right = f"it should be {expected}, as published: remove it and fetch {weights.url} again"
        else:
            right = f"it was {expected} at the first download, kept in {pin_place(path)}\n"
            right += "none is published; remove both only if you know why the file has changed"
        raise BadWeightsFile(f"{file} has sha256 {found}", right)


def sha256(path: Path) -> str:
    """The file's SHA-256 in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
