"""Starts real processes for tests: one alone, or several under Paddle's launcher. None of them outlives its limit.

Run by path it is what the launcher starts in place of a script: it runs the script and notes its exit code, since the
launcher itself tells only one of them.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
CONFIGS = PROJECT / "configs"
TRAIN = PROJECT / "pannsdist" / "train.py"
LIMIT_S = 240.0
"""Against hanging alone: a run of these tests takes seconds."""

TINY = (
    "data.params.clips_per_class=4",
    "data.params.valid_clips_per_class=2",
    "data.params.classes=3",
    "train.crop_s=0.5",
    "train.batch_size=4",
    "train.epochs=1",
    "optimizer.learning_rate=1e-3",
    "data.workers=0",
    "valid.batch_size=2",
)
"""For configs/tones_cnn6.yaml: three steps of four clips, and six clips to evaluate, of which each process has some."""
CONSTANT = ("schedule.name=constant", "schedule.warmup_epochs=0")
"""A learning rate that does not depend on the number of epochs, so that a run can go on as if it had never stopped."""


@dataclass(frozen=True)
class Launched:
    """What came of it: the exit code that a shell sees, those of the processes by rank, and what each of them said.

    `output` is what the terminal shows; under the launcher that is its own lines and rank 0's.
    """

    exit_code: int
    exit_codes: tuple[int | None, ...]
    output: str
    logs: tuple[str, ...]

    def __str__(self) -> str:
        logs = "".join(f"\n--- rank {rank}\n{log}" for rank, log in enumerate(self.logs))
        return f"exit codes {self.exit_code}, {self.exit_codes}\n{self.output}{logs}"


@dataclass(frozen=True)
class Started:
    """Processes under way; `ranks` is 0 for one without a launcher."""

    process: subprocess.Popen
    folder: Path
    log_dir: Path
    ranks: int

    def finish(self, timeout: float = LIMIT_S) -> Launched:
        """Wait for the end. Ends every process of it, and raises TimeoutError, after `timeout` seconds."""
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise TimeoutError(f"not done within {timeout:.0f} s\n{self._launched(None)}") from None
        return self._launched(code)

    def kill(self) -> None:
        """End the process and all that it started; nothing where it has ended."""
        if self.process.poll() is not None:
            return
        import psutil

        root = psutil.Process(self.process.pid)
        for process in (root, *root.children(recursive=True)):
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        self.process.wait()

    def _launched(self, code: int | None) -> Launched:
        output = (self.folder / "output").read_text(errors="replace")
        if not self.ranks:
            return Launched(code, (code,), output, (output,))
        paths = [self.log_dir / f"workerlog.{rank}" for rank in range(self.ranks)]
        logs = tuple(path.read_text(errors="replace") if path.exists() else "" for path in paths)
        noted = [self.folder / f"exit_code.{rank}" for rank in range(self.ranks)]
        return Launched(code, tuple(int(p.read_text()) if p.exists() else None for p in noted), output, logs)


def start(
    script: Path | str,
    *args: object,
    processes: int = 2,
    env: Mapping[str, str] | None = None,
    cwd: Path,
    log_dir: Path | None = None,
) -> Started:
    """Start a script under Paddle's launcher; with `processes` 0, by itself."""
    folder = Path(tempfile.mkdtemp(prefix="launched-", dir=cwd.parent))
    log_dir = log_dir or folder / "log"
    command = [str(script), *map(str, args)]
    if processes:
        launcher = ["-W", "ignore:No ccache found", "-m", "paddle.distributed.launch"]
        command = [*launcher, "--nproc_per_node", str(processes), "--log_dir", str(log_dir), __file__, folder, *command]
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("PADDLE_")}
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=cwd,
            env={**inherited, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Started(process, folder, log_dir, processes)


def launch(
    script: Path | str,
    *args: object,
    processes: int = 2,
    env: Mapping[str, str] | None = None,
    cwd: Path,
    log_dir: Path | None = None,
    timeout: float = LIMIT_S,
) -> Launched:
    """Run a script under Paddle's launcher to its end; with `processes` 0, by itself."""
    return start(script, *args, processes=processes, env=env, cwd=cwd, log_dir=log_dir).finish(timeout)


def train(config: Path | str, *overrides: str, processes: int = 1, cwd: Path, **how: object) -> Launched:
    """Train as a user does, in the folder `cwd`; one process is started without the launcher.

    `config` is a file, or the name of one in configs/.
    """
    return launch(
        TRAIN, "-c", CONFIGS / config, *overrides, processes=0 if processes == 1 else processes, cwd=cwd, **how
    )


@dataclass(frozen=True)
class Command:
    """A script with its arguments, the working folder in which it runs, and folders of plugins that it alone sees."""

    arguments: tuple[object, ...]
    cwd: Path
    path: tuple[Path | str, ...] = ()


def training(config: Path | str, *overrides: object, cwd: Path) -> Command:
    """The command that trains, as `train` runs it."""
    return Command((TRAIN, "-c", CONFIGS / config, *overrides), cwd)


def in_turn(
    commands: Mapping[str, Command],
    folder: Path,
    *,
    processes: int = 2,
    env: Mapping[str, str] | None = None,
    timeout: float = LIMIT_S,
) -> dict[str, Launched]:
    """Run commands one after another in the same processes, started once; gives what came of each.

    Their files go into `folder`. With `processes` 0 there is one process, without a launcher.
    """
    folder.mkdir()
    plan = []
    for number, command in enumerate(commands.values()):
        command.cwd.mkdir(parents=True, exist_ok=True)
        (folder / str(number)).mkdir()
        arguments = list(map(str, command.arguments))
        results, path = folder / str(number), list(map(str, command.path))
        plan.append({"arguments": arguments, "cwd": str(command.cwd), "path": path, "results": str(results)})
    (folder / "commands.json").write_text(json.dumps(plan))
    script = Path(__file__).with_name("in_turn.py")
    launched = launch(script, folder / "commands.json", processes=processes, env=env, cwd=folder, timeout=timeout)
    outcomes = {name: _outcome(folder / str(number), processes) for number, name in enumerate(commands)}
    said = "".join(f"\n=== {name}: {outcome}" for name, outcome in outcomes.items())
    assert launched.exit_code == 0, f"{launched}{said}"
    return outcomes


def _outcome(results: Path, processes: int) -> Launched:
    """What a command in turn left in a folder."""
    ranks = range(processes or 1)
    codes = [results / f"exit_code.{rank}" for rank in ranks]
    logs = [results / f"output.{rank}" for rank in ranks]
    exit_codes = tuple(int(path.read_text()) if path.exists() else None for path in codes)
    said = tuple(path.read_text(errors="replace") if path.exists() else "" for path in logs)
    return Launched(exit_codes[0], exit_codes, said[0], said)


def pannsdist(*args: object, cwd: Path, **how: object) -> Launched:
    """Run the command `pannsdist` in the folder `cwd`."""
    return launch("-m", "pannsdist", *args, processes=0, cwd=cwd, **how)


def contents(folder: Path) -> dict[str, str]:
    """Every file and link in a folder: the checksum of what it holds, or its target, by its path below the folder."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            found[path.relative_to(folder).as_posix()] = str(path.readlink())
        elif path.is_file():
            found[path.relative_to(folder).as_posix()] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def _note_exit_code(folder: Path, command: Sequence[str]) -> int:
    """Run a script as this process of the launcher; a SIGTERM of the launcher goes on to it."""
    child = subprocess.Popen([sys.executable, *command], preexec_fn=_die_with_parent)  # noqa: PLW1509 - one thread
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    code = child.wait()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # for good: Python's own end leaves SIG_IGN as it is
    (folder / f"exit_code.{os.environ['PADDLE_TRAINER_ID']}").write_text(str(code))
    return code if code >= 0 else 128 - code


def _die_with_parent() -> None:
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(_note_exit_code(Path(sys.argv[1]), sys.argv[2:]))
