"""What the benchmarks share: rounds over arms, tables of values and ratios, and results as a file."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

AGAIN = ", again"
"""Ends the name of the arm that repeats the first one in every round: its ratio is the noise of the measurement."""


@dataclass(frozen=True)
class Table:
    """Values of one quantity, `unit`, for each arm: one for every round, or a single one."""

    title: str
    unit: str
    rows: Mapping[str, Sequence[float]]
    better: str = "higher"
    """`higher` or `lower`; empty where neither is."""
    ratios: bool = True
    """Whether arms were interleaved, so that their ratios to the first one, within each round, mean something."""

    def lines(self) -> Iterator[str]:
        """The table in Markdown."""
        yield f"{self.title}\n"
        ratio = " | ratio to the first row, median of the rounds (min-max)" if self.ratios else ""
        yield f"| | {self.unit}{', median (min-max)' if self.rounds > 1 else ''}{ratio} |"
        yield "|---" * (3 if self.ratios else 2) + "|"
        for arm, values in self.rows.items():
            yield f"| {arm} | {spread(values)}{f' | {spread(self.to_first(arm))}' if self.ratios else ''} |"

    @property
    def rounds(self) -> int:
        """Values per arm."""
        return max(map(len, self.rows.values()), default=0)

    def to_first(self, arm: str) -> list[float]:
        """The ratio of an arm to the first one in each round."""
        first = next(iter(self.rows.values()))
        return [value / base for value, base in zip(self.rows[arm], first, strict=True)]


def parser(description: str, rounds: int = 3) -> argparse.ArgumentParser:
    """The arguments of a benchmark that measures in rounds."""
    made = plain_parser(description)
    made.add_argument("--rounds", type=int, default=rounds, help=f"rounds over all arms (default: {rounds})")
    return made


def plain_parser(description: str) -> argparse.ArgumentParser:
    """The arguments of every benchmark."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--quick", action="store_true", help="the smallest work that runs every line: a smoke test")
    made.add_argument("--json", type=Path, metavar="FILE", help="write the values to this file, too")
    return made


def interleave(arms: Iterable[str], rounds: int, unit: str, measure: Callable[[str], float]) -> dict[str, list[float]]:
    """`measure` each arm once in every round, the first one twice if there are others."""
    return interleave_several(arms, rounds, unit, lambda arm: (measure(arm),))[0]


def interleave_several(
    arms: Iterable[str], rounds: int, unit: str, measure: Callable[[str], Sequence[float]]
) -> list[dict[str, list[float]]]:
    """As `interleave`, of several quantities that one call measures: rows of each; `unit` is that of the first."""
    names = list(arms)
    order = [*names, *([names[0] + AGAIN] if len(names) > 1 else [])]
    found: dict[str, list[Sequence[float]]] = {name: [] for name in order}
    for number in range(1, rounds + 1):
        for name in order:
            found[name].append(measure(name.removesuffix(AGAIN)))
            say(f"  round {number}/{rounds}  {name}: {found[name][-1][0]:.4g} {unit}")
    columns = {name: list(zip(*values, strict=True)) for name, values in found.items()}
    return [{name: list(columns[name][place]) for name in order} for place in range(len(columns[names[0]]))]


def present(tables: Sequence[Table], file: Path | None) -> None:
    """Print the tables; write their values to `file` if one is given."""
    print("\n\n".join("\n".join(table.lines()) for table in tables), flush=True)
    write_json(tables, file)


def write_json(tables: Sequence[Table], file: Path | None) -> None:
    """Write the values of tables to `file` if one is given."""
    if file is not None:
        file.write_text(json.dumps([asdict(table) for table in tables], indent=1), encoding="utf-8")


def spread(values: Sequence[float]) -> str:
    """`median (min-max)`, or the only value."""
    shown = [digits(value) for value in (median(values), *bounds(values))]
    return f"{shown[0]} ({shown[1]}-{shown[2]})" if len(values) > 1 else shown[0]


def digits(value: float) -> str:
    """A value with about three digits: 0.00012, 0.90, 20.0, 300."""
    if abs(value) < 0.1:
        return f"{value:.2g}"
    return f"{value:.{2 if abs(value) < 10 else 1 if abs(value) < 100 else 0}f}"


def bounds(values: Sequence[float]) -> tuple[float, float]:
    """The smallest and the largest value."""
    return min(values), max(values)


def say(text: str) -> None:
    """Print progress to standard error."""
    print(text, file=sys.stderr, flush=True)
