"""Download, verification and unpacking of published corpora; nothing is written outside the target folder."""

from __future__ import annotations

import shutil
import stat
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any

from pannsdist.contracts import Download
from pannsdist.runtime.errors import BadDataset, shell_command
from pannsdist.runtime.storage import write_atomic
from pannsdist.weights.downloads import cache
from pannsdist.weights.downloads.fetch import TIMEOUT_S, fetch_remote

DOWNLOADS = ".fetched"
"""Subfolder of a corpus for downloaded archives, and a marker for each unpacked one."""
DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, NotImplementedError, RuntimeError)
"""Exceptions raised for damaged archives."""


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
    try:
        (folder / DOWNLOADS).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        wrong = f"{folder / DOWNLOADS} cannot be created: {error.strerror}"
        raise BadDataset(wrong, "", shell_command("pannsdist", "data", "fetch", name, "-o", "FOLDER")) from error
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
        target.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(archive, target / name)
    else:
        unpack(archive, file.unpack, target)
    write_atomic(marker, content)
    archive.unlink()


def unpack(archive: Path, kind: str, target: Path) -> None:
    """Extract an archive into a folder, replacing existing files.

    Raises BadDataset for a damaged archive, and before extracting a link, a device or a path outside the folder.
    """
    readers: dict[str, Callable[[Path], Iterator[tuple[str, IO[bytes]]]]] = {"zip": _zipped, "tar": _tarred}
    if kind not in readers:
        raise BadDataset(f"{archive.name} has the archive type {kind!r}", "allowed: zip, tar; fix the plugin")
    print(f"unpacking {archive.name}\n  to {target}", file=sys.stderr, flush=True)
    with _refused_if_damaged(archive):
        for name, content in readers[kind](archive):
            place = target / inside(name, archive.name)
            place.parent.mkdir(parents=True, exist_ok=True)
            with place.open("wb") as file:
                shutil.copyfileobj(content, file, 1 << 20)


def inside(name: str, source: str) -> PurePosixPath:
    """The name as a relative path. Raises BadDataset if it would leave the folder it is joined to."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts or set(name) & set("\\:\0"):
        raise BadDataset(f"{source} names {name!r}, which is outside the target folder", "do not trust this archive")
    return path


@contextmanager
def _refused_if_damaged(archive: Path) -> Iterator[None]:
    """Remove a damaged archive, because an existing archive is assumed to be complete."""
    try:
        yield
    except DAMAGED as error:
        archive.unlink()
        cache.checksum_path(archive).unlink(missing_ok=True)
        wrong = f"{archive.name} is truncated or damaged, and was removed: {error}"
        raise BadDataset(wrong, "repeat the command to download it again") from error
    except OSError as error:
        raise BadDataset(
            f"{archive.name} cannot be unpacked: {error}", "fix the cause, and repeat the command"
        ) from error


def _zipped(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """The files of a zip archive; checksums are verified while reading."""
    with zipfile.ZipFile(archive) as opened:
        for entry in opened.infolist():
            kind = stat.S_IFMT(entry.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _unsafe(archive, entry.filename)
            if not entry.is_dir():
                with opened.open(entry) as content:
                    yield entry.filename, content


def _tarred(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """The files of a tar archive with any compression."""
    with tarfile.open(archive) as opened:
        for entry in opened:
            if not entry.isfile() and not entry.isdir():
                raise _unsafe(archive, entry.name)
            content = opened.extractfile(entry)
            if content is not None:
                yield entry.name, content


def _unsafe(archive: Path, name: str) -> BadDataset:
    return BadDataset(f"{archive.name} contains a link or a device: {name!r}", "do not trust this archive")
