"""Published corpora come to this machine: downloaded, verified, and unpacked so that nothing leaves its folder."""

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
from pannsdist.runtime.errors import BadDataset
from pannsdist.runtime.storage import write_atomic
from pannsdist.weights.downloads import cache
from pannsdist.weights.downloads.fetch import TIMEOUT_S, fetch_remote

KEPT = ".fetched"
"""Below a corpus' folder: archives under way, and a note for each that was unpacked."""
DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, NotImplementedError, RuntimeError)
"""What reading a damaged archive may raise."""


def fetch_corpus(name: str, plugin: Any, folder: Path, timeout_s: float = TIMEOUT_S) -> Path:
    """Bring the files of a dataset plugin into a folder; gives the plugin's root there.

    What was unpacked before is passed over, and a download that stopped begins with the file it stopped in. Raises
    BadDataset.
    """
    downloads = tuple(getattr(plugin, "downloads", ()))
    if not downloads:
        home = f"it is to be had by hand: {plugin.home}" if hasattr(plugin, "home") else "it is to be had by hand"
        layout = f"\nroot is the folder that holds {plugin.layout}" if hasattr(plugin, "layout") else ""
        command = f"pannsdist plugins show dataset {name}"
        raise BadDataset(f"dataset '{name}' has nothing that may be fetched for you", home + layout, command)
    try:
        (folder / KEPT).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        wrong = f"{folder / KEPT} cannot be made: {error.strerror}"
        raise BadDataset(wrong, "", f"pannsdist data fetch {name} -o FOLDER") from error
    for licence in dict.fromkeys(file.licence for file in downloads):
        print(f"licence of {name}: {licence}", file=sys.stderr)
    for file in downloads:
        fetch_file(file, folder, timeout_s)
    return folder / getattr(plugin, "unpacks_to", "")


def fetch_file(file: Download, folder: Path, timeout_s: float) -> None:
    """Bring one file and unpack it. Raises BadDataset."""
    name = cache.file_name(file.url, "corpora", BadDataset)
    target = folder / inside(file.into, "the plugin") if file.into else folder
    archive, note = folder / KEPT / name, folder / KEPT / f"{name}.done"
    told = f"{file.url}\n{file.checksum}\n"
    if note.is_file() and note.read_text(encoding="utf-8") == told:
        print(f"here already: {name}", file=sys.stderr)
        return
    tells = bool(file.unpack)
    fetch_remote(cache.Remote(file.url, archive, file.checksum, file.size_bytes, tells, error=BadDataset), timeout_s)
    if not file.unpack:
        target.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(archive, target / name)
    else:
        unpack(archive, file.unpack, target)
    write_atomic(note, told)
    archive.unlink()


def unpack(archive: Path, kind: str, target: Path) -> None:
    """Every file of an archive below a folder, in the place of what is there.

    Raises BadDataset for a damaged archive, and for one with a link, a device or a path that climbs out: before that
    entry is written.
    """
    readers: dict[str, Callable[[Path], Iterator[tuple[str, IO[bytes]]]]] = {"zip": _zipped, "tar": _tarred}
    if kind not in readers:
        raise BadDataset(f"{archive.name} is to be unpacked as {kind!r}", "zip or tar; mend the plugin")
    print(f"unpacking {archive.name}\n  to {target}", file=sys.stderr, flush=True)
    with _refused_if_damaged(archive):
        for name, content in readers[kind](archive):
            place = target / inside(name, archive.name)
            place.parent.mkdir(parents=True, exist_ok=True)
            with place.open("wb") as file:
                shutil.copyfileobj(content, file, 1 << 20)


def inside(name: str, source: str) -> PurePosixPath:
    """A path below the folder that it is joined to; refused where it would leave it."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts or set(name) & set("\\:\0"):
        raise BadDataset(f"{source} names {name!r}, which does not stay in the folder", "it is not to be trusted")
    return path


@contextmanager
def _refused_if_damaged(archive: Path) -> Iterator[None]:
    """An archive that cannot be read is removed, since whatever is kept is taken for whole."""
    try:
        yield
    except DAMAGED as error:
        archive.unlink()
        cache.checksum_path(archive).unlink(missing_ok=True)
        wrong = f"{archive.name} is cut off or damaged, and was removed: {error}"
        raise BadDataset(wrong, "the same command fetches it again") from error
    except OSError as error:
        raise BadDataset(f"{archive.name} cannot be unpacked: {error}", "mend that, and repeat the command") from error


def _zipped(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """The files of a zip archive; its checksums are verified as they are read."""
    with zipfile.ZipFile(archive) as opened:
        for entry in opened.infolist():
            kind = stat.S_IFMT(entry.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _odd(archive, entry.filename)
            if not entry.is_dir():
                with opened.open(entry) as content:
                    yield entry.filename, content


def _tarred(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """The files of a tar archive, compressed in any way."""
    with tarfile.open(archive) as opened:
        for entry in opened:
            if not entry.isfile() and not entry.isdir():
                raise _odd(archive, entry.name)
            content = opened.extractfile(entry)
            if content is not None:
                yield entry.name, content


def _odd(archive: Path, name: str) -> BadDataset:
    return BadDataset(f"{archive.name} has a link or a device: {name!r}", "it is not to be trusted")
