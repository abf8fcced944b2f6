"""`pannsdist init`: looks at sounds, decides, checks the settings as a run does, and writes their file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from pannsdist import settings
from pannsdist.contracts.locations import Location, location_of
from pannsdist.contracts.tables import TABLE_ENDINGS
from pannsdist.registry import Catalog
from pannsdist.run.planning.checks import refuse_contradictions
from pannsdist.run.planning.data import TEST, TRAIN, VALID, Data, load_train_and_valid
from pannsdist.run.planning.lengths import refuse_lengths, run_lengths
from pannsdist.run.planning.selection import choose_dataset, choose_plugins
from pannsdist.run.proposal.choices import SECTIONS, Machine, division, training
from pannsdist.run.proposal.document import Line, document
from pannsdist.run.proposal.sounds import Sounds, look
from pannsdist.run.proposal.sources import Collection, find_collection, next_command, params_of
from pannsdist.run.proposal.start import Start, choose_start
from pannsdist.runtime import console, outputs
from pannsdist.runtime.errors import CannotWrite, UserError, shell_command
from pannsdist.runtime.names import shown
from pannsdist.runtime.storage import write_atomic
from pannsdist.settings.schema import DataSettings, Settings

MANY = 100_000
"""Clips from which on it is said that the command goes on."""


@dataclass(frozen=True)
class Wish:
    """What the command was given: the sounds, the file to write, a weight file, what names groups, and the command."""

    sounds: str
    output: Path | None
    weights: str
    group: str
    command: str

    @property
    def target(self) -> Path:
        """The file to write: by default named after the sounds, in the working folder."""
        return self.output or Path(f"{_name(location_of(self.sounds))}.yaml")


@dataclass(frozen=True)
class Proposal:
    """The text of a settings file, and what was found on the way: lines for the terminal and notes."""

    target: Path
    text: str
    findings: tuple[str, ...]
    notes: tuple[str, ...]


def propose(wish: Wish, machine: Machine, catalog: Catalog) -> Proposal:
    """A checked proposal; writes nothing. Raises UserError, always with a next command."""
    try:
        _refuse_target(wish.target)
    except UserError as error:
        again = shell_command(
            "pannsdist", "init", "--from", wish.sounds, "-o", f"{_name(location_of(wish.sounds))}.yaml"
        )
        raise type(error)(error.wrong, error.right, error.command or again) from error
    try:
        return _proposal(wish, machine, catalog)
    except UserError as error:
        raise type(error)(error.wrong, error.right, error.command or next_command(wish.sounds)) from error


def write(proposal: Proposal) -> None:
    """Write the file. Raises CannotWrite, also where another process has just written it."""
    _refuse_target(proposal.target)
    write_atomic(proposal.target, proposal.text)


def _refuse_target(path: Path) -> None:
    outputs.require_suffix(path, (".yaml", ".yml"), "-o")
    if path.exists():
        other = path.with_name(f"{path.stem}_2{path.suffix}")
        right = f"remove it, or write another file: -o {shown(other)}"
        raise CannotWrite(f"{shown(path)} exists already", right, shell_command("cat", shown(path)))
    outputs.require_file(path, "-o")


def _proposal(wish: Wish, machine: Machine, catalog: Catalog) -> Proposal:
    source = find_collection(wish.sounds, wish.group, catalog)
    if len(source.clips) >= MANY:
        console.note_main(f"{len(source.clips)} clips are listed; to divide them takes a while")
    sounds = look(source.clips)
    source, lines, data = _divided(source, bool(wish.group), catalog)
    start = choose_start(wish.weights, catalog, machine.has_gpu)
    heading = _heading(wish, sounds, data)
    every = [
        Line("name", _name(wish.target), "the run is written to runs/NAME"),
        Line("seed", 0, "the same command gives the same model"),
        Line("model.name", start.model, start.model_reason),
        Line("model.weights", start.weights, start.weights_reason),
        Line("data.name", source.dataset, _dataset_reason(source)),
        *lines,
        Line(
            "data.min_clip_s",
            0,
            f"shorter clips are padded with silence; the network itself takes {start.minimum_s:.2f} s",
        ),
        *training(source, data, sounds, start, machine),
    ]
    text = document(heading, SECTIONS, every)
    _check(text, wish.target, data, catalog)
    return Proposal(wish.target, text, tuple(_findings(sounds, data, start)), sounds.notes)


def _divided(source: Collection, is_group_wanted: bool, catalog: Catalog) -> tuple[Collection, Sequence[Line], Data]:
    """The dataset's params with its division, and its clips. Groups that nobody asked for give way where they must."""
    lines = (*source.lines, *division(source))
    chosen = DataSettings(source.dataset, params_of(lines))
    origin = settings.SettingsOrigin()
    try:
        dataset = choose_dataset(chosen, origin, catalog)
        return source, lines, load_train_and_valid(dataset, Settings(data=chosen), origin)
    except UserError:
        if is_group_wanted or not source.groups:
            raise
        return _divided(source.ungrouped, is_group_wanted, catalog)


def _check(text: str, target: Path, data: Data, catalog: Catalog) -> None:
    """Read the text as a file is read, and check it as a run does, without a download. Raises UserError."""
    values: Any = OmegaConf.to_container(OmegaConf.create(text))
    origin = settings.SettingsOrigin((settings.Layer(str(target), values),))
    chosen = settings.fill_params(Settings, values, origin, "")
    refuse_contradictions(chosen, origin, 1)
    plugins = choose_plugins(chosen, origin, catalog, data.part)
    minimum_s = plugins.minimum_samples / plugins.front_end.sample_rate_hz
    lengths = run_lengths(chosen, len(data.splits[TRAIN]), None, minimum_s)
    refuse_lengths(lengths, chosen, origin, plugins, 1)


def _heading(wish: Wish, sounds: Sounds, data: Data) -> list[str]:
    return [
        f"Written by: {wish.command}",
        "Every value is a proposal, made from what was found. Change what you know better.",
        f"Found: {sounds.clips} clips of {len(data.labels)} classes; opened {_sample(sounds)}: {sounds.rates}.",
        "All keys and their defaults: pannsdist config show",
    ]


def _sample(sounds: Sounds) -> str:
    return "all" if sounds.opened == sounds.clips else f"{sounds.opened} of them, drawn by a seed"


def _findings(sounds: Sounds, data: Data, start: Start) -> list[str]:
    lengths = f"{min(sounds.lengths_s):.2f} to {max(sounds.lengths_s):.2f} s, median {sounds.quantile_s(0.5):.2f} s"
    tested = len(data.test) if data.test is not None else 0
    counts = {TRAIN: len(data.splits[TRAIN]), VALID: len(data.splits[VALID]), TEST: tested}
    return [
        f"sounds     {sounds.clips} clips, {len(data.labels)} classes, {data.labels_of_clip} each",
        f"opened     {_sample(sounds)}",
        f"lengths    {lengths}; {sounds.rates}",
        f"splits     {', '.join(f'{name} {count}' for name, count in counts.items() if count)}",
        f"starts at  {start.model}, {start.weights}",
    ]


def _dataset_reason(source: Collection) -> str:
    if source.dataset == "manifest":
        return "clips listed in a table"
    return "folders for the splits, and in them one for each class" if source.division else "one folder for each class"


def _name(path: Location) -> str:
    """A name for a run and its file, from that of the sounds."""
    whole = path.resolve() if isinstance(path, Path) else path
    stem = whole.name if path.suffix.lower() not in (*TABLE_ENDINGS, ".yaml", ".yml") else path.stem
    return re.sub(r"[^A-Za-z0-9_-]+", "_", shown(stem)).strip("_-") or "own_sounds"
