"""Reads weight files in a child process with limits: 5 s of CPU for each file, and its peak memory measured.

Run as a script, it is that child: a path on each line of its input, a line of JSON for each file on its output.
"""

from __future__ import annotations

import json
import math
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

CPU_S = 5
MEMORY_LIMIT = 6 << 30
"""Address space of the child, so that a fault does not take the memory of the machine."""
ALLOWED_FACTOR, ALLOWED_MB = 3, 64


@dataclass(frozen=True)
class Outcome:
    """What became of a file: `kind` is read, refused, fault or killed; `peak` is in bytes above the start."""

    kind: str
    message: str = ""
    peak: int = 0
    cpu_s: float = 0.0


def outcomes(files: Mapping[str, Path], reader: str = "read_weights") -> dict[str, Outcome]:
    """Read each file in a child; when one kills the child, the next child goes on after it."""
    found: dict[str, Outcome] = {}
    while len(found) < len(files):
        left = [name for name in files if name not in found]
        found |= one_child(left, [files[name] for name in left], reader)
    return found


def one_child(names: Sequence[str], paths: Sequence[Path], reader: str) -> dict[str, Outcome]:
    """The outcomes up to the end of one child; a file that it does not answer for has killed it."""
    done = subprocess.run(
        [sys.executable, __file__, reader],
        input="".join(f"{path}\n" for path in paths),
        capture_output=True,
        text=True,
        check=False,
    )
    found = {
        name: Outcome(**json.loads(line)) for name, line in zip(names, done.stdout.splitlines(), strict=False) if line
    }
    if len(found) < len(names):
        said = (done.stderr.strip().splitlines() or ["nothing"])[-1]
        found[names[len(found)]] = Outcome("killed", f"exit code {done.returncode}; its last words: {said}")
    return found


def faults(found: Mapping[str, Outcome], files: Mapping[str, Path]) -> list[str]:
    """A line for each file that killed the child, raised anything but a user error, or took too much memory."""
    lines = []
    for name, outcome in found.items():
        allowed = ALLOWED_FACTOR * files[name].stat().st_size + (ALLOWED_MB << 20)
        if outcome.kind in ("killed", "fault"):
            lines.append(f"{name}: {outcome.kind}: {outcome.message}")
        elif outcome.peak > allowed:
            lines.append(f"{name}: {outcome.peak / 1e6:.0f} MB for a file of {files[name].stat().st_size / 1e6:.1f} MB")
        elif any(not (letter.isprintable() or letter == "\n") for letter in outcome.message):
            lines.append(f"{name}: control characters in its message: {outcome.message!r}")
        elif len(outcome.message) > 2500:
            lines.append(f"{name}: a message of {len(outcome.message)} characters")
    return lines


def memory(name: str) -> int:
    """A value of /proc/self/status, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise KeyError(name)


def read_one(path: Path, reader: str) -> Outcome:
    """Read one file within the limits."""
    from pannsdist.runtime.errors import UserError

    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before, started = memory("VmRSS"), time.process_time()
    limit = math.ceil(started) + CPU_S
    resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))
    kind, message = "read", ""
    try:
        READERS[reader](path)
    except UserError as error:
        kind, message = "refused", str(error)
    except BaseException as error:  # noqa: BLE001 the point is to see any
        kind, message = "fault", f"{type(error).__name__}: {str(error)[:200]}"
    return Outcome(kind, message, memory("VmHWM") - before, time.process_time() - started)


def read_weights(path: Path) -> None:
    """Read the values, what `weights inspect` prints, and the shapes alone, which must agree."""
    from pannsdist.weights import weight_file
    from pannsdist.weights.summary import summarize

    shapes = weight_file.read_shapes(path)
    assert len(str(summarize(shapes))) < 6000
    whole = weight_file.read_weights(path)
    assert list(shapes.state) == list(whole.state)
    for name, value in whole.state.items():
        assert (shapes.state[name].shape, shapes.state[name].dtype) == (value.shape, value.dtype), name


def read_record(path: Path) -> None:
    """Read a `bundle.json`, or another file of JSON, as the product does."""
    from pannsdist.runtime.errors import BadBundle
    from pannsdist.runtime.json_files import JsonFile

    JsonFile(dict, BadBundle, "copy it again").read(path)


def end_at_kill(path: Path) -> None:
    """Read weights, unless the file asks for the end of the process: what a reader with a fault would do."""
    if path.read_bytes() == b"kill":
        os.kill(os.getpid(), signal.SIGKILL)
    read_weights(path)


READERS = {"read_weights": read_weights, "read_record": read_record, "end_at_kill": end_at_kill}


def main() -> None:
    """Answer for each path on standard input."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for line in sys.stdin:
        print(json.dumps(vars(read_one(Path(line.rstrip("\n")), sys.argv[1]))), flush=True)


if __name__ == "__main__":
    main()
