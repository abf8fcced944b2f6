"""The members of a tar shard: their names, their headers, and where one ends. Equal input gives equal bytes.

A header has nothing of the machine that wrote it: no owner, no time, fixed permissions. Names are short ASCII that this
package makes, so no extension for long or foreign names is needed, and none can lead out of the folder of extraction.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

BLOCK_BYTES = 512
"""A tar archive consists of blocks: a header is one, and content is padded to whole ones."""
END_BYTES = 2 * BLOCK_BYTES
"""An archive ends with two blocks of zeros."""
NAME_LETTERS = 60
OCTAL_BYTES = 8**11
"""The first size that eleven octal digits cannot hold."""


def padded(size_bytes: int) -> int:
    """The bytes of whole blocks that content of this size takes."""
    return -(-size_bytes // BLOCK_BYTES) * BLOCK_BYTES


def member_key(number: int, name: str) -> str:
    """The name of a member without its ending: the number of the file in the pack, and letters of its own name.

    It has no dot: webdataset takes what follows the first one for the ending, and groups members by what precedes it.
    """
    stem = re.sub("[^A-Za-z0-9_-]+", "_", PurePosixPath(name).stem)[:NAME_LETTERS].strip("_")
    return f"{number:08d}-{stem}" if stem else f"{number:08d}"


def member_name(number: int, name: str) -> str:
    """The name of the member that holds a sound file: the ending is that of the file, `.bin` where it has none."""
    ending = PurePosixPath(name).suffix
    return member_key(number, name) + (ending if re.fullmatch("[.][A-Za-z0-9]{1,10}", ending) else ".bin")


def member_header(name: str, size_bytes: int) -> bytes:
    """The header block of a regular file: ustar; sizes from 8 GiB on as GNU tar writes them."""
    size = b"%011o\0" % size_bytes if size_bytes < OCTAL_BYTES else b"\x80" + size_bytes.to_bytes(11, "big")
    before = name.encode("ascii").ljust(100, b"\0") + b"0000644\0" + 2 * b"0000000\0" + size + b"%011o\0" % 0
    after = b"0" + bytes(100) + b"ustar\x0000" + bytes(64) + 2 * b"0000000\0" + bytes(167)
    checksum = sum(before) + 8 * ord(" ") + sum(after)
    return before + b"%06o\0 " % checksum + after
