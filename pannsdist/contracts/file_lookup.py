r"""Finds the file that a list names, although lists and disks write one name in different ways.

A name with an accent has two Unicode forms: macOS stores the letter and the accent (NFD), lists mostly have one
character (NFC). Both are the same name, as is one with the escapes of `runtime.names.shown`: such a file is found if
there is only one. Upper and lower case, backslashes, spaces and encodings make other names: they are not guessed, but
said in the refusal.
"""

from __future__ import annotations

import os
import re
import stat
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path, PurePath

from pannsdist.runtime.errors import shell_command
from pannsdist.runtime.names import folder_above, is_file, is_folder, original, shown

__all__ = ["FileLookup", "folder_above", "is_file", "is_folder", "leads_out", "real_folder"]

Key = Callable[[str], str]

ENCODINGS = ("gb18030", "big5", "shift_jis", "euc_kr", "cp1252")
"""Encodings of names in archives that were packed on Windows; unpacked elsewhere their names are not UTF-8."""
FEW_ENTRIES, ENTRIES_FOR_NAME = 1000, 10
"""So many entries of a folder are listed, and so many for each name in it, before names are looked at one by one."""


def leads_out(path: Path, root: Path) -> bool:
    """Whether a path at or below `root` is outside of it once every link is followed, in its folders too.

    No dataset reads such a file: a list or an archive from elsewhere could have any file of this machine read. The root
    itself may be a link.
    """
    return "\0" not in str(path) and not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root))


def real_folder(path: Path, root: Path) -> str:
    """What is right in place of a link that leads out of the root of a dataset, at or above `path`."""
    inside = path.relative_to(root)
    links = (root / part for part in (*reversed(inside.parents), inside))
    link = next((one for one in links if leads_out(one, root)), path)
    target = Path(os.path.realpath(link))
    is_below_another_root = target.name == link.name and is_folder(target)
    other = f", as {shell_command(f'data.params.root={shown(target.parent)}')}" if is_below_another_root else ""
    right = f"point data.params.root at the real folder{other}, or copy the files into it"
    return f"{shown(link)} leads to {shown(target)}\n{right}"


class FileLookup:
    """The files below `root` by name. Lists each folder once; opens no file."""

    def __init__(self, root: Path) -> None:
        self._root, self._real = root, RealPaths()
        self._real_root = Path(os.path.realpath(root))
        self._names: dict[tuple[Path, Key], dict[str, list[str]]] = {}

    def find(self, name: str) -> Path | None:
        """The file of this name, a path relative to the root with slashes; None if there is none, or several."""
        exact = self._root / name
        if os.path.lexists(exact):
            return exact
        return self._matching(name, _same) or self._matching(original(name), _same)

    def leads_out(self, path: Path) -> bool:
        """As the function, for many files of few folders."""
        return "\0" not in str(path) and not self._real.of(path).is_relative_to(self._real_root)

    def unclear(self, names: Iterable[str]) -> set[str]:
        """Those of many names, paths relative to the root, that are not simply files: links, missing, or folders.

        Only they need a closer look, name by name. Folders are listed, since a system call for each of a million files
        takes long, on a network file system minutes; of a folder with far more files than names only a part is.
        """
        left = set(names)
        for folder, count in Counter(name.rpartition("/")[0] for name in left).items():
            if not self.leads_out(self._root / folder):
                left.difference_update(_plain_files(self._root / folder, f"{folder}/" if folder else "", count))
        return {name for name in left if not self._is_plain(name)}

    def _is_plain(self, name: str) -> bool:
        path = self._root / name
        try:
            return stat.S_ISREG(path.lstat().st_mode) and not self.leads_out(path.parent)
        except (OSError, ValueError):  # missing, or a name that no file has
            return False

    def hint(self, name: str) -> str:
        """A sentence on a file that `name` probably means, or on why it is none itself; empty if nothing is known."""
        exact = self._root / name
        if os.path.lexists(exact):
            links_to_nothing = exact.is_symlink() and not os.path.exists(exact)  # noqa: PTH110 raises for nothing
            return f"it is {'a folder' if is_folder(exact) else 'a link to nothing' if links_to_nothing else 'no file'}"
        for written, why in _rewritten(name):
            for key, differs in ((_same, ""), (_similar, "upper and lower case, or spaces, differ")):
                found = self._matching(written, key)
                if found is not None:
                    return self._there(found, why or differs)
        ending = self._matching(name, _without_ending)
        return self._there(ending, "its ending differs") if ending else self._in_another_encoding(name)

    def _there(self, found: Path, differs: str) -> str:
        return f"there is {shown(found.relative_to(self._root).as_posix())!r}: {differs}"

    def _in_another_encoding(self, name: str) -> str:
        for encoding in ENCODINGS:
            try:
                content = name.encode(encoding)
            except UnicodeEncodeError:
                continue
            convert = shell_command("convmv", "-f", encoding, "-t", "utf-8", "-r", "--notest", self._root)
            unpack = f"unpack the archive again: unzip -O {encoding} ARCHIVE"
            for on_disk, remedy in ((os.fsdecode(content), convert), (content.decode("cp437"), unpack)):
                if on_disk != name and os.path.lexists(self._root / on_disk):
                    return self._there(self._root / on_disk, f"the same name in {encoding}; {remedy}")
        return ""

    def _matching(self, name: str, key: Key) -> Path | None:
        """The one file whose path has the same keys, part by part."""
        places = [self._root]
        for part in name.split("/"):
            places = [place / other for place in places for other in self._by_key(place, key).get(key(part), ())]
        return places[0] if len(places) == 1 else None

    def _by_key(self, folder: Path, key: Key) -> dict[str, list[str]]:
        if (folder, key) not in self._names:
            names = self._names[folder, key] = {}
            for entry in _entries(folder):
                names.setdefault(key(entry), []).append(entry)
        return self._names[folder, key]


class RealPaths:
    """`os.path.realpath` that follows the links of a folder only once for all of its files."""

    def __init__(self) -> None:
        self._folders: dict[Path, Path] = {}

    def of(self, path: Path) -> Path:
        """The path without links."""
        if path.name in ("", os.pardir):
            return Path(os.path.realpath(path))
        if path.parent not in self._folders:
            self._folders[path.parent] = Path(os.path.realpath(path.parent))
        real = self._folders[path.parent] / path.name
        try:
            target = real.parent / real.readlink()
            return Path(os.path.realpath(path)) if target.is_symlink() else self.of(target)
        except OSError:  # no link, or nothing
            return real


def _plain_files(folder: Path, prefix: str, wanted: int) -> Iterator[str]:
    """The files of a folder that are no links, each after the prefix; not all if it has far more than `wanted`."""
    try:
        with os.scandir(folder) as listing:
            for entry in islice(listing, FEW_ENTRIES + ENTRIES_FOR_NAME * wanted):
                if entry.is_file(follow_symlinks=False):
                    yield prefix + entry.name
    except OSError:  # no folder, or one that cannot be listed: its files are looked at one by one
        return


def _entries(folder: Path) -> list[str]:
    try:
        return [path.name for path in folder.iterdir()]
    except OSError:  # no folder, or one that cannot be listed: nothing is found in it
        return []


def _same(part: str) -> str:
    return unicodedata.normalize("NFC", part)


def _similar(part: str) -> str:
    """Equal for names that differ in case, spaces at the ends and compatible characters."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", part).casefold()).strip()


def _rewritten(name: str) -> Iterator[tuple[str, str]]:
    """The name as relative paths with slashes that it may mean, and why it is not one of them."""
    yield name, ""
    slashed = re.sub("^[A-Za-z]:", "", name.replace("\\", "/"))
    parts = [part for part in slashed.split("/") if part]
    why = "paths are written with slashes" if "\\" in name else ""
    is_absolute = slashed.startswith("/")
    for first in range(len(parts)):
        yield "/".join(parts[first:]), "paths are relative to the root" if first or is_absolute else why


def _without_ending(part: str) -> str:
    return PurePath(_similar(part)).stem
