"""What it costs to list clips with events: processor time and memory of a manifest with ten events for each clip.

    python benchmarks/event_labels.py [--clips N]

It writes an empty file for each clip into a temporary folder, and the same events as a DCASE table and as JSON lines.
Each is listed once, in a process of its own, and its clips are checked as a run checks them.
"""

from __future__ import annotations

import json
import multiprocessing
import random
import resource
import tempfile
import time
from pathlib import Path

from measuring import Table, plain_parser, present, say

from pannsdist.builtin.manifest import Manifest, ManifestParams
from pannsdist.run.planning.clips import refuse_clips

LABELS, EVENTS, IN_A_FOLDER = 400, 10, 1000


def main() -> None:
    """Print both tables."""
    parser = plain_parser("What clips with events cost to list.")
    parser.add_argument("--clips", type=int, default=100_000, metavar="N")
    chosen = parser.parse_args()
    clips = 1000 if chosen.quick else chosen.clips
    with tempfile.TemporaryDirectory() as folder:
        say(f"  writing {clips} files")
        write(Path(folder), clips)
        found = {name: measured(Path(folder), name) for name in ("DCASE table", "JSON lines")}
    title = f"{clips:,} clips, {EVENTS * clips:,} events of {LABELS} labels"
    seconds, memory = ({name: [values[place]] for name, values in found.items()} for place in (0, 1))
    tables = [
        Table(title, "s", seconds, better="lower", ratios=False),
        Table("largest memory of the process", "MB", memory, better="lower", ratios=False),
    ]
    present(tables, chosen.json)


def write(folder: Path, clips: int) -> None:
    """The sounds, without content; clips.csv with strong.tsv, and clips.jsonl."""
    draw = random.Random(0)  # noqa: S311
    with (
        (folder / "clips.csv").open("w") as table,
        (folder / "strong.tsv").open("w") as strong,
        (folder / "clips.jsonl").open("w") as lines,
    ):
        table.write("path,split\n")
        strong.write("filename\tonset\toffset\tevent_label\n")
        for number in range(clips):
            name, split = f"{number // IN_A_FOLDER}/{number}.wav", "train" if number % 10 else "valid"
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).touch()
            times = [(place + 0.4 * draw.random(), place + 0.5 + 0.4 * draw.random()) for place in range(EVENTS)]
            rows = [(round(onset, 3), round(offset, 3), f"label {draw.randrange(LABELS)}") for onset, offset in times]
            table.write(f"{name},{split}\n")
            strong.writelines(f"{name}\t{onset}\t{offset}\t{label}\n" for onset, offset, label in rows)
            events = [{"onset_s": onset, "offset_s": offset, "label": label} for onset, offset, label in rows]
            lines.write(json.dumps({"path": name, "split": split, "events": events}) + "\n")


def measured(folder: Path, name: str) -> tuple[float, float]:
    """(processor seconds, MB) of one format, in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(listed, (folder, name))


def listed(folder: Path, name: str) -> tuple[float, float]:
    """List and check the clips here."""
    given = {"DCASE table": ("clips.csv", [str(folder / "strong.tsv")]), "JSON lines": ("clips.jsonl", [])}[name]
    start = time.process_time()
    dataset = Manifest(ManifestParams(str(folder / given[0]), events=given[1]))
    for split in dataset.splits:
        refuse_clips(dataset.clips(split), dataset.labels, dataset.multi_label, split, "")
    return time.process_time() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
