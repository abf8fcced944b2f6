"""Download, verification and unpacking of published corpora; nothing is written outside the target folder."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

from pannsdist.contracts import Download
from pannsdist.run.unpacking import inside, placing, unpack
from pannsdist.runtime.errors import BadDataset
from pannsdist.runtime.storage import write_atomic
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
        command = f"pannsdist plugins show dataset {name}"
        raise BadDataset(f"dataset '{name}' has no files that can be downloaded automatically", home + layout, command)
    try:
        (folder / DOWNLOADS).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        wrong = f"{folder / DOWNLOADS} cannot be created: {error.strerror}"
        raise BadDataset(wrong, "", f"pannsdist data fetch {name} -o FOLDER") from error
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
    content = f"{file.url}\n{file.checksum}\n"
    if marker.is_file() and marker.read_text(encoding="utf-8") == content:
        print(f"already downloaded: {name}", file=sys.stderr)
        return
    tells = bool(file.unpack)
    fetch_remote(cache.Remote(file.url, archive, file.checksum, file.size_bytes, tells, error=BadDataset), timeout_s)
    if not file.unpack:
        with placing(target):
            target.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(archive, target / name)
    else:
        unpack(archive, file.unpack, target)
    write_atomic(marker, content)
    with placing(archive):
        archive.unlink()
