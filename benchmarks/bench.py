"""All benchmarks, one after another, into one file of results for this machine: what `make bench` runs.

    python benchmarks/bench.py [--only NAME ...] [--quick] [--esc10 DIR] [--mn04 FILE] [--peers PYTHON]
                               [--results DIR] [--against FILE]

It writes MACHINE.json (values, machine, versions, load), MACHINE.md (the tables) and MACHINE.svg (their ratios) to the
folder of results. `--peers` is a Python with PyTorch, torchlibrosa and panns-inference, whose rows are measured in the
same rounds. `--against` an earlier file prints what became slower by more than the noise, and then exits with 1. The
noise of a table is the largest difference between its first row and that row's repetition, in any round of both files.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import chart
import machine
from measuring import AGAIN, Table, bounds, plain_parser, say

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
Results = dict[str, list[Table]]
"""The tables of each benchmark."""


def main() -> None:
    """Run the benchmarks and write the results."""
    parser = plain_parser("All benchmarks of pannsdist, as one file of results.")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="of these benchmarks alone")
    parser.add_argument("--esc10", type=Path, metavar="DIR", help="ESC-10, for what needs real sound")
    parser.add_argument("--mn04", type=Path, metavar="FILE", help="weights of efficientat_mn04")
    parser.add_argument("--peers", type=Path, metavar="PYTHON", help="a Python with PyTorch, to measure beside ours")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="DIR", help="folder of results")
    parser.add_argument("--against", type=Path, metavar="FILE", help="earlier results; exit with 1 if one was better")
    chosen = parser.parse_args()
    commands = {name: words for name, words in benchmarks(chosen) if not chosen.only or name in chosen.only}
    if unknown := set(chosen.only or ()) - set(commands):
        raise SystemExit(f"no such benchmark here: {', '.join(sorted(unknown))}; there are {', '.join(commands)}")
    earlier = read(chosen.against) if chosen.against else {}
    described, before = machine.describe(), machine.load()
    found = {name: run(name, words, quick=chosen.quick) for name, words in commands.items()}
    loads = {"load_before": before, "load_after": machine.load()}
    made = {"machine": described, **loads, "time": datetime.now(UTC).isoformat(timespec="seconds")}
    write(chosen.json or chosen.results / f"{machine.name(described)}.json", made, found)
    if worse := [line for name, tables in found.items() for line in slower(tables, earlier.get(name, []))]:
        raise SystemExit("slower than before:\n" + "\n".join(worse))


def benchmarks(chosen: Any) -> Iterator[tuple[str, list[str]]]:
    """Each benchmark with its arguments."""
    peers = ["--peers", str(chosen.peers)] if chosen.peers else []
    yield "train_step", peers
    yield "scaling", []
    yield "barriers", []
    yield "recovery", []
    yield "train_overheads", []
    yield "start", []
    yield "predict", peers
    yield "watching", []
    yield "message_sizes", []
    yield "data", [*peers, *(["--esc10", str(chosen.esc10)] if chosen.esc10 else [])]
    yield "data_cache", ["--esc10", str(chosen.esc10)] if chosen.esc10 else []
    yield "data_loading", ["--data", str(chosen.esc10)] if chosen.esc10 else []
    yield "million_clips", []
    yield "event_labels", []
    yield "detection", []
    yield "streaming", []
    yield "serving", []
    yield "augmentations", []
    if chosen.esc10:
        of_esc10 = ["--data", str(chosen.esc10), *(["--weights", str(chosen.mn04)] if chosen.mn04 else [])]
        yield "zero_shot", of_esc10
        yield "probe", of_esc10
        yield "decisions", of_esc10
        yield "sound_events", of_esc10
        yield "small_exports", of_esc10
    if chosen.mn04:
        yield "held_out_voices", ["--weights", str(chosen.mn04)]


def run(name: str, words: Sequence[str], *, quick: bool) -> list[Table]:
    """Run a benchmark in a process of its own. Raises SystemExit if it fails."""
    say(f"{name} {' '.join(words)}")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "tables.json"
        command = [sys.executable, str(HERE / f"{name}.py"), *words, "--json", str(file)]
        if (code := subprocess.call(command + ["--quick"] * quick)) != 0:  # noqa: S603
            raise SystemExit(f"benchmarks/{name}.py failed with code {code}")
        return [Table(**table) for table in json.loads(file.read_text(encoding="utf-8"))]


def write(file: Path, made: dict[str, Any], found: Results) -> None:
    """The values, the tables and the picture, beside one another."""
    file.parent.mkdir(parents=True, exist_ok=True)
    values = {name: [vars(table) for table in tables] for name, tables in found.items()}
    file.write_text(json.dumps({**made, "benchmarks": values}, indent=1) + "\n", encoding="utf-8")
    file.with_suffix(".md").write_text("\n".join(page(made, found)) + "\n", encoding="utf-8")
    drawn = [table for tables in found.values() for table in tables if table.ratios]
    file.with_suffix(".svg").write_text(chart.ratios(drawn), encoding="utf-8")
    say(f"written: {file}, {file.with_suffix('.md').name}, {file.with_suffix('.svg').name}")


def page(made: dict[str, Any], found: Results) -> Iterator[str]:
    """The tables in Markdown, below what they were measured on."""
    described = made["machine"]
    yield f"# {described['processor']}, {described['cores']} cores\n"
    sets = ", ".join(described["instruction_sets"])
    packages = ", ".join(f"{name} {version}" for name, version in described["packages"].items())
    yield f"{sets}; {described['system']}; Python {described['python']}, {packages}.\n"
    yield f"Load before {made['load_before']}, after {made['load_after']}; {made['time']}.\n"
    for name, tables in found.items():
        yield f"## {name}\n"
        for table in tables:
            yield "\n".join(table.lines()) + "\n"


def read(file: Path) -> Results:
    """The tables of an earlier file. Raises SystemExit if it is none."""
    try:
        values = json.loads(file.read_text(encoding="utf-8"))["benchmarks"]
        return {name: [Table(**table) for table in tables] for name, tables in values.items()}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SystemExit(f"{file}: no results of this benchmark ({error}); make bench writes them") from None


def slower(now: Sequence[Table], before: Sequence[Table]) -> Iterator[str]:
    """What became worse than in the table of the same title by more than the noise of both."""
    known = {table.title: table for table in before}
    for table, old in ((table, known[table.title]) for table in now if table.better and table.title in known):
        limit = max(noise(table), noise(old))
        for arm in (arm for arm in table.rows if arm in old.rows and not arm.endswith(AGAIN)):
            change = median(table.rows[arm]) / median(old.rows[arm])
            factor = 1 / change if table.better == "higher" else change
            if factor > limit:
                yield f"{table.title}: {arm}: worse by a factor of {factor:.2f}; noise {limit:.2f}"


def noise(table: Table) -> float:
    """The largest factor, 1 or more, by which repetitions differ."""
    repeated = [table.to_first(arm) for arm in table.rows if arm.endswith(AGAIN)]
    low, high = bounds([ratio for ratios in repeated for ratio in ratios] or [1.0])
    spreads = [max(values) / min(values) for values in table.rows.values()]
    return max(high, 1 / low, *([] if repeated else spreads))


if __name__ == "__main__":
    main()
