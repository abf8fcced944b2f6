"""Tables of the fastest engine: the one that ships with the package, and the one that was measured on this machine."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import paddle

from pannsdist.inference.engines.kinds import ENGINES, OPERANDS
from pannsdist.runtime import cpu, storage
from pannsdist.runtime.errors import UserError
from pannsdist.runtime.json_files import JsonFile
from pannsdist.runtime.user_folder import home

FORMAT, ANY = 1, "*"
PACKAGE_FILE = Path(__file__).with_name("table.json")
MAX_BATCH, MAX_THREADS = 1024, 1024


@dataclass(frozen=True)
class Row:
    """The engine for a family of networks and a precision, with its batch and threads (0: one per core).

    A row of the package is for processors by their `instructions`. One that was measured is for a `processor` by name,
    its number of cores, and a version of Paddle. `*` fits everything.
    """

    family: str
    precision: str
    engine: str
    batch_size: int
    threads: int = 0
    instructions: str = ANY
    processor: str = ANY
    cores: int = 0
    paddle: str = ANY

    def __post_init__(self) -> None:
        texts = (self.family, self.precision, self.engine, self.instructions, self.processor, self.paddle)
        if not all(type(one) is str for one in texts):
            raise ValueError("a row has a value that is not text")
        if self.engine not in ENGINES or self.precision not in OPERANDS:
            raise ValueError(f"there is no engine '{self.engine[:40]}' with '{self.precision[:40]}'")
        for number, least, most in (
            (self.batch_size, 1, MAX_BATCH),
            (self.threads, 0, MAX_THREADS),
            (self.cores, 0, 0x7FFF),
        ):
            if type(number) is not int or not least <= number <= most:
                raise ValueError("a row has a number out of range")

    def fits(self, family: str, precision: str) -> bool:
        """Whether it is for this machine, a family of networks and a precision."""
        here = cpu.processor()
        known = {self.family: family, self.instructions: here.instructions, self.processor: here.name}
        is_here = all(own in (ANY, found) for own, found in known.items()) and self.cores in (0, cpu.cores())
        return is_here and self.precision == precision and self.paddle in (ANY, paddle.__version__)


def _rows(content: Any) -> tuple[Row, ...]:
    return tuple(Row(**row) for row in content["rows"])


PACKAGE = JsonFile(_rows, UserError, "install the package again", FORMAT)
MACHINE = JsonFile(_rows, UserError, "remove it, and measure again", FORMAT, is_removable=True)


def package_rows() -> tuple[Row, ...]:
    """The table that ships with the package."""
    found = PACKAGE.read(PACKAGE_FILE)
    assert found is not None, f"{PACKAGE_FILE} is part of the package"
    return found


def machine_file() -> Path:
    """Where the table of this machine is kept. Raises UserError for a user without a home folder."""
    return home() / "engines.json"


def machine_rows() -> tuple[Row, ...]:
    """What was measured on this machine, empty if nothing. Raises UserError for a damaged table, with what to do."""
    try:
        path = machine_file()
    except UserError:  # without a home folder nothing can have been measured
        return ()
    return MACHINE.read(path) or ()


def measured_row(family: str, precision: str, engine: str, batch_size: int, threads: int) -> Row:
    """A row for this machine and this Paddle."""
    here = cpu.processor()
    return Row(
        family,
        precision,
        engine,
        batch_size,
        threads,
        processor=here.name,
        cores=cpu.cores(),
        paddle=paddle.__version__,
    )


def remember(row: Row) -> Path:
    """Write a row into the table of this machine, in place of one for the same; returns the file. Raises UserError."""
    path = machine_file()

    def key(one: Row) -> tuple[str, str, str, int, str]:
        return one.processor, one.family, one.precision, one.cores, one.paddle

    rows = [row, *(one for one in machine_rows() if key(one) != key(row))]
    storage.make_folder(path.parent)
    text = json.dumps({"format": FORMAT, "rows": [asdict(one) for one in rows]}, indent=2, ensure_ascii=False)
    storage.write_atomic(path, text + "\n")
    return path
