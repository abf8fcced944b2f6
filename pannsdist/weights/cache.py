"""Where published weights lie on this machine."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from urllib.parse import unquote, urlparse

from pannsdist.contracts import Pretrained
from pannsdist.errors import BadWeightsFile


def home() -> Path:
    """`PANNSDIST_HOME`, else `pannsdist` in the user's cache folder."""
    chosen = os.environ.get("PANNSDIST_HOME")
    if chosen:
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "pannsdist"


def locate(weights: Pretrained) -> Path:
    """The file of a published set, its checksum verified. Raises BadWeightsFile, saying which file to put where."""
    path = home() / "weights" / unquote(Path(urlparse(weights.url).path).name)
    if not path.is_file():
        right = f"download {weights.url}\nand put it at {path}, or give a file as model.weights=FILE"
        raise BadWeightsFile(f"the weights are not on this machine: {path.name}", right)
    found = sha256(path)
    if found != weights.sha256:
        right = f"it should be {weights.sha256}: remove it and download {weights.url} again"
        raise BadWeightsFile(f"{path} has sha256 {found}", right)
    return path


def sha256(path: Path) -> str:
    """The file's SHA-256 in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
