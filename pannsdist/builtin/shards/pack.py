"""A packed dataset where it is, a folder or a URL of a store: its manifest, read and checked, and its shards."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any, NoReturn

from pannsdist.contracts import EncodedSource, UserError, shell_command, shown
from pannsdist.contracts.file_lookup import folder_above, is_file, is_folder, leads_out, real_folder
from pannsdist.contracts.locations import Location, Url, location_of, present, read_bytes, source, unreadable
from pannsdist.contracts.shard_manifest import (
    HEADER,
    MAX_HEADER_BYTES,
    TABLE,
    PackHeader,
    PackTable,
    Shard,
    decode_table,
    read_header,
)

AGAIN = "copy the whole folder again, or pack the dataset again: pannsdist data pack"
NAMED = 3


class Pack:
    """The pack in the folder or at the URL `root` (data.params.root). Every method raises UserError."""

    def __init__(self, root: str) -> None:
        if not root:
            raise UserError("data.params.root is empty", f"give the folder of a pack, which has a {HEADER}")
        self.root: Location = location_of(root, "data.params.root")
        if isinstance(self.root, Path) and not is_folder(self.root):
            reason = "is not a folder" if is_file(self.root) else "does not exist"
            right = f"give the folder that `pannsdist data pack -o` wrote; it has a {HEADER}"
            command = shell_command("ls", folder_above(self.root))
            raise UserError(f"{self.root} {reason} (data.params.root)", right, command)

    def header(self) -> PackHeader:
        """What the pack says of itself."""
        raw = self._content(HEADER, MAX_HEADER_BYTES + 1)
        if raw is None:
            right = f"give the folder that `pannsdist data pack -o` wrote; it has a {HEADER}"
            raise UserError(f"{self.root} (data.params.root) is no pack", right, self._look)
        return read_header(raw, str(self.root / HEADER), AGAIN)

    def table(self, header: PackHeader, fold: int) -> PackTable:
        """Its files and clips, with the splits of one of its divisions."""
        raw = self._content(TABLE, header.table_bytes + 1)
        if raw is None:
            self._refuse(f"{self.root / TABLE} is missing", None)
        try:
            return decode_table(raw, header, fold)
        except ValueError as error:
            self._refuse(f"{self.root / TABLE} is damaged: {error}", error)

    def shards(self, header: PackHeader) -> list[Path | EncodedSource]:
        """Its shards. Raises UserError where one is missing, or of another size."""
        if isinstance(self.root, Url):
            found = present(self.root, [shard.name for shard in header.shards])
            sizes = {name: remote.state().size_bytes if remote else None for name, remote in found.items()}
            wrong = [why for shard in header.shards if (why := _size_fault(shard, sizes[shard.name]))]
        else:
            found = {}
            wrong = [why for shard in header.shards if (why := self._fault(self.root, shard))]
        if wrong:
            some = "".join(f"\n{why}" for why in wrong[:NAMED])
            what = f"{self.root}: {len(wrong)} of {len(header.shards)} shards are not as {HEADER} says"
            raise UserError(what, f"{some.strip()}\n{AGAIN}", self._look)
        return [found.get(shard.name) or source(self.root / shard.name) for shard in header.shards]

    def _content(self, name: str, at_most: int) -> bytes | None:
        """The first bytes of a file of the pack; None where there is none."""
        place = self.root / name
        if isinstance(place, Path):
            self._refuse_link(place)
        try:
            return read_bytes(place, at_most)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise unreadable(place, error) from error

    def _fault(self, root: Path, shard: Shard) -> str:
        path = root / shard.name
        self._refuse_link(path)
        try:
            found = path.stat()
        except FileNotFoundError:
            return _size_fault(shard, None)
        except OSError as error:
            return f"{shard.name} cannot be read: {error.strerror}"
        if not stat.S_ISREG(found.st_mode):
            return f"{shard.name} is no regular file"
        return _size_fault(shard, found.st_size)

    def _refuse_link(self, path: Path) -> None:
        assert isinstance(self.root, Path)
        if leads_out(path, self.root):
            wrong = f"{shown(path)} is a link that leads out of {self.root} (data.params.root)"
            raise UserError(wrong, real_folder(path, self.root))

    @property
    def _look(self) -> str:
        return shell_command("ls", "-l", self.root) if isinstance(self.root, Path) else ""

    def _refuse(self, wrong: str, cause: Any) -> NoReturn:
        raise UserError(wrong, AGAIN, self._look) from cause


def _size_fault(shard: Shard, size: int | None) -> str:
    if size is None:
        return f"{shard.name} is missing"
    return "" if size == shard.size_bytes else f"{shard.name} has {size:,} bytes of {shard.size_bytes:,}"
