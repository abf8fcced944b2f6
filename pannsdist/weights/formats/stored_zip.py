"""Reader for zip files as PyTorch writes them: members that are stored, not compressed, one after the other.

Python's `zipfile` is not used: it takes seconds and gigabytes for a table of a million members, and reads members that
lie over each other.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import IO

from pannsdist.runtime.foreign import excerpt
from pannsdist.weights.formats.errors import Damaged, Refused
from pannsdist.weights.formats.section import Section

MAX_MEMBERS = 50_000
MAX_TABLE_BYTES = 8 << 20
END, END_64 = struct.Struct("<4s4H2LH"), struct.Struct("<4sQ2H2L4Q")
LOCATOR_64 = struct.Struct("<4sLQL")
CENTRAL, LOCAL = struct.Struct("<4s6H3L5H2L"), struct.Struct("<4s5H3L2H")
ENCRYPTED = 1
UNKNOWN_32 = 0xFFFFFFFF
"""Stands for a number that is in the zip64 field."""


@dataclass(frozen=True, slots=True)
class Member:
    """A member: name, header position, size in bytes, CRC-32."""

    name: str
    header: int
    size: int
    check_sum: int


class StoredZip:
    """The members of a zip file by name. Raises Damaged and Refused."""

    def __init__(self, file: IO[bytes], file_bytes: int) -> None:
        self.file = file
        members, table_start = read_table(file, file_bytes)
        self.members = {member.name: member for member in members}
        if len(self.members) != len(members):
            raise Damaged("a member stands twice in its table")
        self.starts: dict[str, int] = {}
        free = 0
        for member in sorted(members, key=lambda one: one.header):
            if member.header < free or member.header + LOCAL.size > table_start:
                raise Damaged("members that overlap, or lie outside of the file")
            self.starts[member.name] = data_start(file, member, table_start)
            free = self.starts[member.name] + member.size
            if free > table_start:
                raise Damaged("members that overlap, or lie outside of the file")

    def section(self, name: str) -> Section:
        """A member, with its check sum verified before anything in it is used."""
        if name not in self.members:
            raise Damaged(f"no member '{excerpt(name)}'")
        start, member = self.starts[name], self.members[name]
        if Section(self.file, start, start + member.size).check_sum() != member.check_sum:
            raise Damaged(f"the check sum of '{excerpt(name)}' is wrong")
        return Section(self.file, start, start + member.size)

    def read(self, name: str) -> bytes:
        """The bytes of a member, verified."""
        section = self.section(name)
        return section.take(section.left)


def read_table(file: IO[bytes], file_bytes: int) -> tuple[list[Member], int]:
    """The members in the table of a zip file, and where the table starts."""
    count, size, start = table_place(file, file_bytes)
    if count > MAX_MEMBERS or size > MAX_TABLE_BYTES:
        raise Refused(f"a table of {count} members in {size:,} bytes; at most {MAX_MEMBERS:,} are read")
    table = Section(file, start, start + size)
    members = [next_member(table) for _ in range(count)]
    if table.left:
        raise Damaged("its table of members is truncated")
    return members, start


def table_place(file: IO[bytes], file_bytes: int) -> tuple[int, int, int]:
    """Number of members, size and start of the table, from the record at the end of the file, or its zip64 form."""
    end = file_bytes - END.size
    damaged = Damaged("its table of members is truncated")
    if end < 0:
        raise damaged
    mark, _, _, _, count, size, start, comment = END.unpack(Section(file, end, file_bytes).take(END.size))
    if mark != b"PK\x05\x06" or comment:
        raise damaged
    before = end - LOCATOR_64.size
    if before >= 0:
        mark, _, place, _ = LOCATOR_64.unpack(Section(file, before, end).take(LOCATOR_64.size))
        if mark == b"PK\x06\x07":
            if place != before - END_64.size:
                raise damaged
            fields = END_64.unpack(Section(file, place, before).take(END_64.size))
            mark, count, size, start, end = fields[0], *fields[7:10], place
            if mark != b"PK\x06\x06":
                raise damaged
    if start + size != end:
        raise damaged
    return count, size, start


def next_member(table: Section) -> Member:
    """The next line of the table."""
    if table.left < CENTRAL.size:
        raise Damaged("its table of members is truncated")
    fields = CENTRAL.unpack(table.take(CENTRAL.size))
    flags, method, check_sum, stored, size, name_bytes, extra_bytes, comment_bytes = *fields[3:5], *fields[7:13]
    name, extra = str(table.take(name_bytes), "utf-8"), table.take(extra_bytes)
    table.skip(comment_bytes)
    if flags & ENCRYPTED:
        raise Refused(f"an encrypted member '{excerpt(name)}', which PyTorch does not write")
    if method != 0:
        raise Refused(f"a compressed member '{excerpt(name)}', which PyTorch does not write")
    size, stored, header = in_64_bits(extra, [size, stored, fields[16]])
    if fields[0] != b"PK\x01\x02" or stored != size:
        raise Damaged("its table of members is truncated")
    return Member(name, header, size, check_sum)


def in_64_bits(extra: bytes, numbers: list[int]) -> list[int]:
    """The numbers of a member, those that do not fit into 32 bits from its extra field of kind 1."""
    position, wide = 0, b""
    while position + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, position)
        if kind == 1:
            wide = extra[position + 4 : position + 4 + length]
            break
        position += 4 + length
    found = []
    for number in numbers:
        if number == UNKNOWN_32:
            if len(wide) < 8:
                raise Damaged("its table of members is truncated")
            number, wide = int.from_bytes(wide[:8], "little"), wide[8:]  # noqa: PLW2901
        found.append(number)
    return found


def data_start(file: IO[bytes], member: Member, end: int) -> int:
    """Where the bytes of a member start, after its own header, which must give the name of the table."""
    header = Section(file, member.header, end)
    fields = LOCAL.unpack(header.take(LOCAL.size))
    name_bytes, extra_bytes = fields[-2:]
    if fields[0] != b"PK\x03\x04" or header.take(name_bytes) != member.name.encode("utf-8"):
        raise Damaged("a member whose header is not that of the table")
    header.skip(extra_bytes)
    return header.position
