"""Ratios of benchmark tables as a picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from statistics import median

from measuring import AGAIN, Table, bounds

WIDTH, NAMES, ROW, BAR = 860, 330, 20, 12
STYLE = "font: 12px sans-serif"


def ratios(tables: Sequence[Table]) -> str:
    """An SVG document: for each table a group of bars, one per arm, as long as its median ratio to the first arm."""
    lines = [line for table in tables for line in group(table)]
    height = ROW * (len(lines) + 1)
    body = "\n".join(line.format(y=ROW * (number + 1)) for number, line in enumerate(lines))
    frame = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" style="{STYLE}">'
    return f'{frame}\n<rect width="100%" height="100%" fill="white"/>\n{body}\n</svg>\n'


def group(table: Table) -> Iterator[str]:
    """The title of a table and its bars, each with a place `{y}` for its height; the thin line spans the rounds."""
    arms = {arm: table.to_first(arm) for arm in table.rows if not arm.endswith(AGAIN)}
    scale = (WIDTH - NAMES - 70) / max(max(values) for values in arms.values())
    yield f'<text x="6" y="{{y}}" font-weight="bold">{text(table.title)}: {text(table.unit)}, ratio to the first</text>'
    for arm, values in arms.items():
        middle, (low, high) = median(values), bounds(values)
        yield (
            f'<g transform="translate(0 {{y}})"><text x="{NAMES - 6}" text-anchor="end">{text(arm)}</text>'
            f'<rect x="{NAMES}" y="{2 - BAR}" width="{middle * scale:.1f}" height="{BAR}" fill="#4878a8"/>'
            f'<path d="M{NAMES + low * scale:.1f} {2 - BAR / 2} H{NAMES + high * scale:.1f}" stroke="#222"/>'
            f'<text x="{NAMES + high * scale + 6:.1f}">{middle:.2f}</text></g>'
        )


def text(value: str) -> str:
    """For SVG, with braces doubled."""
    return escape(value).replace("{", "{{").replace("}", "}}")
