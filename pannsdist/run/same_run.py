"""Whether a run may go on in a folder: it must hold the same run, by its settings, labels and data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pannsdist import settings as settings_module
from pannsdist.distributed.world import World
from pannsdist.kernels.choice import AUTO, KEY, PADDLE, Choice
from pannsdist.run.changed_data import refuse_changed_data
from pannsdist.run.data_record import data_record
from pannsdist.run.planning.plan import Plan
from pannsdist.runtime import outputs, reading
from pannsdist.runtime.errors import BadRunFolder, SettingsError, shell_command
from pannsdist.runtime.json_files import JsonFile
from pannsdist.settings.plain import flat
from pannsdist.settings.schema import Settings
from pannsdist.training.checkpoint import CheckpointStore

SETTINGS_FILE, LABELS_FILE = "settings.yaml", "labels.json"
FREE_KEYS = (
    "runs",
    "train.epochs",
    "train.max_steps",
    "train.max_minutes",
    "train.patience_epochs",
    "train.max_bad_steps",
    "train.cpu_kernels",
    "select.test",
    "save",
    "log",
    "trackers",
    "data.workers",
    "data.on_bad_clip",
    "data.on_change",
    "data.cache",
    "data.cache_limit_gb",
    "distributed.hang_timeout_s",
)
"""Settings that may change when a run is resumed; a change of any other key is refused."""


def run_path(settings: Settings) -> Path:
    """The folder of a run, `runs/NAME`."""
    return Path(settings.runs) / settings.name


def refuse_folder(settings: Settings, labels: Sequence[str]) -> None:
    """Raise what `RunFolder.open` would raise for a folder that no process has, and touch nothing.

    Raises CannotWrite for a folder that cannot be written, BadRunFolder if it contains another run or unrelated files.
    """
    path = run_path(settings)
    outputs.require_folder(path, "the run folder")
    if reading.is_file(
        path / SETTINGS_FILE
    ):  # without a checkpoint, an earlier start was refused: nothing is another run's
        if CheckpointStore(path / "checkpoints", settings.save.keep).folders:
            refuse_other_run(path / SETTINGS_FILE, settings)
            refuse_other_labels(path / LABELS_FILE, list(labels))
    elif any(name != "log" and name[0] != "." for name in reading.names_in(path)):
        wrong = f"{path} is not empty, and has no {SETTINGS_FILE} of a run"
        raise BadRunFolder(wrong, "choose another name, as name=NAME, or empty the folder", shell_command("ls", path))


def check_same_run(path: Path, plan: Plan) -> None:
    """Raise BadRunFolder where a run with other settings, data or kernels is in the folder; touches nothing."""
    settings, store = plan.settings, CheckpointStore(path / "checkpoints", plan.settings.save.keep)
    if reading.is_file(path / SETTINGS_FILE) and store.folders:
        refuse_other_run(path / SETTINGS_FILE, settings)
        refuse_changed_data(path, data_record(plan.data), settings.data.on_change)
        before = store.newest_kernels()
        if before is not None:
            other_kernels(path, before, plan.kernels.name, settings.train.cpu_kernels)


def refuse_different_kernels(world: World, kernels: Choice) -> None:
    """Raise SettingsError where the processes would compute with different kernels. All processes must call this."""
    names = world.all_gather(kernels.name)
    if len(set(names)) > 1:
        other = next(rank for rank, name in enumerate(names) if name != names[0])
        wrong = f"the processes choose different kernels: {names[0]} in rank 0, {names[other]} in rank {other}"
        raise SettingsError(wrong, f"choose those that all machines have, such as {KEY}={PADDLE}")


def other_kernels(path: Path, before: str, now: str, wanted: str) -> str:
    """A line that says that a run goes on with other kernels; empty if they are the same.

    Raises BadRunFolder where they differ although the setting, `wanted`, leaves the choice to the program.
    """
    if before == now:
        return ""
    if wanted == AUTO:
        wrong = f"the run in {path} was computed by {before} so far, and would be by {now} here: that is not bit-equal"
        right = f"to go on deliberately, choose the kernels: {KEY}={now.partition(' ')[0]}; or name=NAME for a new run"
        raise BadRunFolder(wrong, right)
    return f"the run goes on with other kernels: {before} so far, {now} from here on"


def refuse_other_run(written: Path, settings: Settings) -> None:
    """Raise BadRunFolder where the settings file of a run has another value of a key that may not change."""
    for key, (before, now) in other_settings(written, settings).items():
        wrong = f"{written.parent} contains another run: {key} is {before!r} there, {now!r} now"
        right = "choose another name, as name=NAME, or remove that folder"
        raise BadRunFolder(wrong, right, shell_command("cat", written))


def other_settings(written: Path, settings: Settings) -> dict[str, tuple[Any, Any]]:
    """The settings that differ from those of a run's file, and may not: (before, now), the most specific keys first."""
    before = flat(settings_module.read_yaml(written))
    now = flat(settings_module.as_written(settings))
    empty = {key for tree in (before, now) for key, value in tree.items() if value == {}}
    keys = sorted(before.keys() | now.keys(), key=lambda key: (key in empty, key))
    fixed = [key for key in keys if not any(key == name or key.startswith(f"{name}.") for name in FREE_KEYS)]
    return {key: (before.get(key), now.get(key)) for key in fixed if before.get(key) != now.get(key)}


def refuse_other_labels(written: Path, labels: list[str]) -> None:
    """Raise BadRunFolder where the labels file of a run is missing, damaged or has other labels."""
    right = "copy it from another run on the same dataset, or rename this run with name=NAME"
    known = JsonFile(_texts, BadRunFolder, right).read(written)
    if known is None:
        raise BadRunFolder(f"{written} is missing", right)
    if known != labels:
        differing = sorted(set(known) ^ set(labels)) or ["their order"]
        wrong = f"the dataset's labels differ from those of the run in {written.parent}: {', '.join(differing[:5])}"
        right = f"the run has {len(known)}, the dataset {len(labels)}; choose another name, as name=NAME"
        raise BadRunFolder(wrong, right)


def _texts(content: Any) -> list[str]:
    if not isinstance(content, list) or not all(isinstance(one, str) for one in content):
        raise ValueError("it is no list of texts")
    return content
