"""Where the files of a manifest are: below a folder, named as on disk, or below the URL of a store."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

from pannsdist.contracts import shown
from pannsdist.contracts.clip_lists import Files
from pannsdist.contracts.file_lookup import FileLookup, is_file, real_folder
from pannsdist.contracts.locations import RemoteFile, Url, is_url, leads_out_of, present
from pannsdist.contracts.tables import Row


class Places(Protocol):
    """The files below a root by the names that a table has of them, relative to the root, with slashes."""

    def unclear(self, names: Sequence[str]) -> set[str]:
        """Those of many names that need a closer look, one by one. Asks for all of them."""
        ...

    def checked(self, row: Row) -> str:
        """The name in the `path` of a row in its shortest form. Raises UserError for a place outside of the root."""
        ...

    def present(self, row: Row, name: str) -> str | None:
        """The name of the file as it is stored; None if there is none. Raises UserError for one outside of the root."""
        ...

    def hint(self, name: str) -> str:
        """A sentence on the file that a missing one probably is; may be empty."""
        ...

    def sources(self, names: Sequence[str]) -> Sequence[Any]:
        """What clips have as their sources."""
        ...


class LocalFiles:
    """Files below a folder."""

    def __init__(self, root: Path) -> None:
        self._root, self._files = root, FileLookup(root)

    def unclear(self, names: Sequence[str]) -> set[str]:
        """See Places; folders are listed."""
        return self._files.unclear(names)

    def checked(self, row: Row) -> str:
        """See Places."""
        text = row.text("path")
        if is_url(text):
            row.refuse(f"path {shown(text)!r} is a URL", "data.params.root is then the URL that all of them are below")
        inside = Path(os.path.relpath(self._root / text, self._root))
        if inside.parts[:1] in ((), (os.pardir,)):
            _refuse_outside(row, self._root, self.hint(text))
        self._refuse_link(row, self._root / inside)
        return inside.as_posix()

    def present(self, row: Row, name: str) -> str | None:
        """See Places."""
        file = self._files.find(name)
        if file is None or not is_file(file):
            return None
        if file != self._root / name:  # the name as written was judged before
            self._refuse_link(row, file)
        return file.relative_to(self._root).as_posix()

    def hint(self, name: str) -> str:
        """See Places."""
        return self._files.hint(name)

    def sources(self, names: Sequence[str]) -> Files:
        """See Places."""
        return Files(self._root, names)

    def _refuse_link(self, row: Row, path: Path) -> None:
        if self._files.leads_out(path):
            wrong = f"path {row.text('path')!r} is a link that leads out of {self._root}"
            row.refuse(wrong, real_folder(path, self._root))


class RemoteFiles:
    """Objects below a URL; a name may be the whole URL of one of them."""

    def __init__(self, root: Url) -> None:
        self._root = root
        self._found: dict[str, RemoteFile | None] = {}

    def unclear(self, names: Sequence[str]) -> set[str]:
        """See Places; the store is asked once for all of them. Raises CannotRead."""
        inside = [name for name in names if leads_out_of(self._root, name) == (name, "")]
        self._found |= present(self._root, inside)
        return {name for name in names if self._found.get(name) is None}

    def checked(self, row: Row) -> str:
        """See Places."""
        name, why = leads_out_of(self._root, row.text("path"))
        if why:
            _refuse_outside(row, self._root, f"this one {why}")
        return name

    def present(self, _: Row, name: str) -> str | None:
        """See Places."""
        if name not in self._found:
            self._found |= present(self._root, [name])
        return name if self._found[name] is not None else None

    def hint(self, _: str) -> str:
        """See Places: a store is not searched."""
        return ""

    def sources(self, names: Iterable[str]) -> list[RemoteFile | None]:
        """See Places."""
        return [self._found[name] for name in names]


def _refuse_outside(row: Row, root: Path | Url, hint: str) -> None:
    right = "\n".join(filter(None, ["paths are relative to data.params.root", hint]))
    row.refuse(f"path {row.text('path')!r} is outside of {root}", right)
