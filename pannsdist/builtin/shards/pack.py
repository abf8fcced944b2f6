"""A packed dataset where it is: its manifest, read and checked, and its shards."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any, NoReturn

from pannsdist.contracts import EncodedSource, UserError, path_of, shell_command, shown
from pannsdist.contracts.file_lookup import folder_above, is_file, is_folder, leads_out, real_folder
from pannsdist.contracts.shard_manifest import HEADER, TABLE, PackHeader, PackTable, Shard, decode_table, read_header

AGAIN = "copy the whole folder again, or pack the dataset again: pannsdist data pack"
NAMED = 3


class Pack:
    """The pack in the folder `root` (data.params.root). Every method raises UserError."""

    def __init__(self, root: str) -> None:
        if not root:
            raise UserError("data.params.root is empty", f"give the folder of a pack, which has a {HEADER}")
        self.root = path_of(root)
        if not is_folder(self.root):
            reason = "is not a folder" if is_file(self.root) else "does not exist"
            right = f"give the folder that `pannsdist data pack -o` wrote; it has a {HEADER}"
            command = shell_command("ls", folder_above(self.root))
            raise UserError(f"{self.root} {reason} (data.params.root)", right, command)

    def header(self) -> PackHeader:
        """What the pack says of itself."""
        path = self.root / HEADER
        if not is_file(path):
            right = f"give the folder that `pannsdist data pack -o` wrote; it has a {HEADER}"
            raise UserError(f"{self.root} (data.params.root) is no pack", right, shell_command("ls", "-l", self.root))
        self._refuse_link(path)
        return read_header(path, AGAIN)

    def table(self, header: PackHeader, fold: int) -> PackTable:
        """Its files and clips, with the splits of one of its divisions."""
        path = self.root / TABLE
        self._refuse_link(path)
        try:
            with path.open("rb") as file:
                return decode_table(file.read(header.table_bytes + 1), header, fold)
        except OSError as error:
            self._refuse(f"{path} cannot be read: {error.strerror}", error)
        except ValueError as error:
            self._refuse(f"{path} is damaged: {error}", error)

    def shards(self, header: PackHeader) -> list[Path | EncodedSource]:
        """Its shards. Raises UserError where one is missing, or of another size."""
        wrong = [why for shard in header.shards if (why := self._fault(shard))]
        if wrong:
            some = "".join(f"\n{why}" for why in wrong[:NAMED])
            what = f"{self.root}: {len(wrong)} of {len(header.shards)} shards are not as {HEADER} says"
            raise UserError(what, f"{some.strip()}\n{AGAIN}", shell_command("ls", "-l", self.root))
        return [self.root / shard.name for shard in header.shards]

    def _fault(self, shard: Shard) -> str:
        path = self.root / shard.name
        self._refuse_link(path)
        try:
            found = path.stat()
        except FileNotFoundError:
            return f"{shard.name} is missing"
        except OSError as error:
            return f"{shard.name} cannot be read: {error.strerror}"
        if not stat.S_ISREG(found.st_mode):
            return f"{shard.name} is no regular file"
        if found.st_size != shard.size_bytes:
            return f"{shard.name} has {found.st_size:,} bytes of {shard.size_bytes:,}"
        return ""

    def _refuse_link(self, path: Path) -> None:
        if leads_out(path, self.root):
            wrong = f"{shown(path)} is a link that leads out of {self.root} (data.params.root)"
            raise UserError(wrong, real_folder(path, self.root))

    def _refuse(self, wrong: str, cause: Any) -> NoReturn:
        raise UserError(wrong, AGAIN, shell_command("ls", "-l", self.root)) from cause
