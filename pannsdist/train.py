"""Train a model: settings, plan, parts, run, one after the other in `run/one_run.py`.

Start it directly, or in every process of the launcher:

python -m paddle.distributed.launch --nproc_per_node 2 pannsdist/train.py -c configs/tones_cnn6.yaml [key=value ...]
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if __name__ == "__main__":
    if not __package__:  # run by path: make `pannsdist` importable, not its modules by name
        sys.path[0] = str(Path(__file__).resolve().parents[1])
    from pannsdist.runtime import launcher_logs

    launcher_logs.close()
    from pannsdist.runtime import console

    console.delay_sigterm()

from pannsdist import settings
from pannsdist.run import one_run
from pannsdist.runtime import console, cpu, exit_codes, heap, launcher, streams

if TYPE_CHECKING:
    from pannsdist.run.run_results import Run


def main(arguments: Sequence[str] | None = None) -> int:
    """Train with the command line's settings. Exit code 2 for invalid settings or data, 75 for a stopped run."""
    return console.exit_code(lambda: _run_command(arguments))


def _run_command(arguments: Sequence[str] | None) -> None:
    parser = streams.ArgumentParser(prog="python -m pannsdist.train", description="Fine-tune an audio network.")
    parser.add_argument("-c", "--config", type=Path, required=True, help="settings file (YAML)")
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="print the plan, or an error for invalid settings, and exit",
    )
    parser.add_argument("--limit", type=int, metavar="N", help="at most N batches per epoch and per evaluation")
    parser.add_argument("--overfit", type=int, metavar="N", help="train and evaluate on the same N batches")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="settings that override the file")
    chosen = parser.parse_intermixed_args(arguments)
    cpu.use_fast_kernels()
    heap.keep_freed_memory()
    console.quiet_paddle()
    overrides = [*chosen.overrides, *settings.subset_overrides(chosen.limit, chosen.overfit)]
    run(chosen.config, overrides, chosen.dry_run)


def run(config: Path, overrides: Sequence[str], dry_run: bool) -> None:
    """Check everything, then train. All processes raise the same UserError."""
    with console.sigterm_delayed():
        plan = one_run.checked(config, overrides, launcher.size(), downloads=not dry_run)
        if dry_run:
            one_run.carry_out(plan, dry_run=True)
    if not dry_run:
        one_run.carry_out(plan)


class _Script(ModuleType):
    """Keeps `pannsdist.train(...)` a call after `import pannsdist.train`, which puts this script there instead."""

    def __call__(self, *arguments: Any, **options: Any) -> Run:
        from pannsdist.run.python_api import train

        return train(*arguments, **options)


if __name__ == "__main__":
    exit_code = 1
    try:
        exit_code = main()
    except SystemExit as end:  # argparse
        exit_code = end.code if isinstance(end.code, int) else 1
    finally:
        exit_codes.note(exit_code)
    sys.exit(exit_code)
else:
    sys.modules[__name__].__class__ = _Script
