"""Download, verification and unpacking of published corpora; nothing is written outside the target folder."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from pannsdist.contracts import Download
from pannsdist.run.unpacking import inside, unpack
from pannsdist.runtime import outputs, storage
from pannsdist.runtime.errors import BadDataset, shell_command
from pannsdist.runtime.redaction import without_credentials
from pannsdist.weights.downloads import cache
from pannsdist.weights.downloads.fetch import TIMEOUT_S, fetch_remote

DOWNLOADS = ".fetched"
"""Subfolder of a corpus for downloaded archives, and a marker for each unpacked one."""


def fetch_corpus(name: str, plugin: Any, folder: Path, timeout_s: float = TIMEOUT_S) -> Path:
    """Download the files of a dataset plugin into a folder, and return the plugin's root there.

    Files unpacked before are skipped; an interrupted download resumes with the file it stopped in. Raises BadDataset.
    """
    downloads = tuple(getattr(plugin, "downloads", ()))
    if not downloads:
        home = "download it manually" + (f": {plugin.home}" if hasattr(plugin, "home") else "")
        layout = f"\nroot is the folder that contains {plugin.layout}" if hasattr(plugin, "layout") else ""
        command = shell_command("pannsdist", "plugins", "show", "dataset", name)
        raise BadDataset(f"dataset '{name}' has no files that can be downloaded automatically", home + layout, command)
    outputs.require_folder(folder, "-o")
    storage.make_folder(folder / DOWNLOADS)
    for licence in dict.fromkeys(file.licence for file in downloads):
        print(f"licence of {name}: {licence}", file=sys.stderr)
    for file in downloads:
        fetch_file(file, folder, timeout_s)
    return folder / getattr(plugin, "unpacks_to", "")


def fetch_file(file: Download, folder: Path, timeout_s: float) -> None:
    """Download one file and unpack it. Raises BadDataset."""
    name = cache.file_name(file.url, "corpora", BadDataset)
    target = folder / inside(file.into, "the plugin") if file.into else folder
    archive, marker = folder / DOWNLOADS / name, folder / DOWNLOADS / f"{name}.done"
    content = without_credentials(f"{file.url}\n{file.checksum}\n")
    if marker.is_file() and marker.read_text(encoding="utf-8") == content:
        print(f"already downloaded: {name}", file=sys.stderr)
        return
    tells = bool(file.unpack)
    fetch_remote(cache.Remote(file.url, archive, file.checksum, file.size_bytes, tells, error=BadDataset), timeout_s)
    if not file.unpack:
        with archive.open("rb") as copied:
            storage.copy_stream(copied, target / name)
    else:
        unpack(archive, file.unpack, target)
    storage.write_atomic(marker, content)
    storage.remove(archive)
