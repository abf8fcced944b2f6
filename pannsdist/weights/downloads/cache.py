"""Cache locations and checksum verification of downloaded files."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlparse

from pannsdist.contracts import Pretrained
from pannsdist.runtime import reading
from pannsdist.runtime.errors import BadWeightsFile, UserError
from pannsdist.runtime.names import expanded
from pannsdist.runtime.redaction import without_credentials
from pannsdist.runtime.storage import write_atomic
from pannsdist.weights.downloads.mirrors import Mirror

FROM_MIRROR = "# downloaded from the mirror "
"""Start of a line in the file of a stored checksum."""


@dataclass(frozen=True)
class Remote:
    """A remote file and its local path.

    `checksum` is `sha256:` or `md5:` and hexadecimal digits, or empty; `size_bytes` is 0 if unknown. `self_checking`
    means that truncation is detected when the file is read, as for an archive. `alternative` is a further remedy for
    the error message, and `error` the exception type.
    """

    url: str
    path: Path
    checksum: str = ""
    size_bytes: int = 0
    self_checking: bool = False
    alternative: str = ""
    error: type[UserError] = BadWeightsFile


def remote(weights: Pretrained) -> Remote:
    """The remote file of pretrained weights."""
    checksum = f"sha256:{weights.sha256.lower()}" if weights.sha256 else ""
    alternative = "or give a file: model.weights=FILE"
    return Remote(weights.url, local_path(weights.url), checksum, weights.size_bytes, alternative=alternative)


def home() -> Path:
    """The cache folder: `PANNSDIST_HOME`, else `pannsdist` in the user's cache folder.

    Raises UserError for a user without a home folder, as in some containers.
    """
    chosen = os.environ.get("PANNSDIST_HOME")
    if chosen:
        return expanded(chosen)
    folder = expanded(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    if str(folder).startswith("~"):
        right = "HOME is not set, and this user has no home folder: set PANNSDIST_HOME to a folder that can be written"
        raise UserError("there is no place for downloads", right, "export PANNSDIST_HOME=FOLDER")
    return folder / "pannsdist"


def local_path(url: str) -> Path:
    """Cache path of a URL: always directly in the weights folder, whatever path the URL has."""
    return home() / "weights" / file_name(url, "weights", BadWeightsFile)


def file_name(url: str, what: str, error: type[UserError]) -> str:
    """File name at the end of a URL. Raises `error` if there is none, or for a scheme other than https and http."""
    parts = urlparse(url)
    if parts.scheme not in ("https", "http") or not parts.netloc:
        raise error(f"{what} can be fetched over https and http only, not from {url!r}", "fix the plugin")
    name = PurePosixPath(unquote(parts.path)).name
    if not name.isprintable() or name.startswith(".") or not name:
        raise error(f"the URL {url!r} does not end in a file name", "fix the plugin")
    return name


def checksum_path(path: Path) -> Path:
    """Path of the stored checksum of a file without a published one; `sha256sum -c` can read it."""
    return path.with_name(f"{path.name}.sha256")


def expected(file: Remote) -> str:
    """The published checksum, else the one stored at the first download, else empty."""
    if file.checksum:
        return file.checksum
    stored_in = checksum_path(file.path)
    try:
        lines = stored_in.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return ""
    pinned_url, stored = (lines[0].removeprefix("# "), lines[1].partition(" ")[0]) if len(lines) > 1 else ("", "")
    if pinned_url != without_credentials(file.url):  # as it was written
        wrong = f"{file.path} was downloaded from {pinned_url or 'an unknown URL'}, not from {file.url}"
        right = f"neither has a published checksum, so they cannot be distinguished; move it and {stored_in} away"
        raise file.error(wrong, right)
    return f"sha256:{stored}"


def verify(found: Path, file: Remote, mirror: Mirror | None = None) -> None:
    """Verify the checksum of a file, or store it if no checksum is known. Raises `file.error` on a mismatch.

    `mirror` is where it was downloaded just now, if not from its URL; it changes no check. A file with a wrong checksum
    is left in place, since somebody may have copied it there; a download never is.
    """
    kind, _, expected_digest = expected(file).partition(":")
    try:
        found_digest = reading.retried(lambda: digest(found, kind or "sha256"))
    except OSError as error:
        said = reading.cannot_read(found, error)
        raise file.error(said.wrong, said.right, said.command) from error
    if not expected_digest:
        source = f"{FROM_MIRROR}{without_credentials(mirror.url(file.url))}\n" if mirror else ""
        write_atomic(checksum_path(file.path), f"# {file.url}\n{found_digest}  {file.path.name}\n{source}")
    elif found_digest != expected_digest.lower():
        raise file.error(f"{found} has {kind} {found_digest}", _remedy(file, expected_digest, mirror))


def _remedy(file: Remote, digest: str, mirror: Mirror | None) -> str:
    """What to do about a file whose checksum is not `digest`."""
    if file.checksum and mirror:
        sent = f"the mirror {mirror.url(file.url)} sent another file"
        return f"expected {digest}, as published: {sent}\n{mirror.way_back}"
    if file.checksum:
        return f"expected {digest}, as published: remove it and fetch {file.url} again"
    stored_in = checksum_path(file.path)
    first = stored_in.read_text(encoding="utf-8").partition(FROM_MIRROR)[2].strip()
    lines = [
        f"it was {digest} at the first download{f' from the mirror {first}' if first else ''}, stored in {stored_in}",
        "no checksum is published; remove both only if you know why the file has changed",
        *([f"this download came from the mirror {mirror.url(file.url)}", mirror.way_back] if mirror else []),
    ]
    return "\n".join(lines)


def sha256(path: Path) -> str:
    """SHA-256 of a file in hexadecimal digits."""
    return digest(path, "sha256")


def digest(path: Path, kind: str) -> str:
    """Checksum of a file with an algorithm of hashlib, in hexadecimal digits."""
    computed = hashlib.new(kind, usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            computed.update(block)
    return computed.hexdigest()
