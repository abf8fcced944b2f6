"""All facts of this node."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pannsdist import settings
from pannsdist.run.doctor.facts import Facts
from pannsdist.run.doctor.probing.folder import folder
from pannsdist.run.doctor.probing.gpus import gpus
from pannsdist.run.doctor.probing.machine import machine
from pannsdist.run.doctor.probing.network import network
from pannsdist.run.doctor.probing.software import settings_file, software
from pannsdist.run.nodes.master import Master
from pannsdist.runtime.errors import UserError


@dataclass(frozen=True)
class Wanted:
    """What to look at beside the machine: a settings file with overrides, a run folder, the rendezvous of nodes."""

    config: Path | None = None
    overrides: Sequence[str] = ()
    run_folder: Path | None = None
    master: Master | None = None


def observe(wanted: Wanted) -> Facts:
    """The facts of this node. Any process may call this; it writes small files into the run folder and removes them."""
    installed = software()
    file = None if wanted.config is None else settings_file(wanted.config, wanted.overrides)
    place = wanted.run_folder or _of_settings(wanted)
    here = None if place is None else folder(place)
    before = None
    if place is not None and not installed.paddle.fault:
        from pannsdist.run.doctor.probing.record import record  # what reads runs needs Paddle

        before = record(place, wanted.config, wanted.overrides)
    return Facts(installed, gpus(), machine(), network(wanted.master), file, here, before)


def _of_settings(wanted: Wanted) -> Path | None:
    """The folder of the run that the settings describe; None without valid ones."""
    if wanted.config is None:
        return None
    try:
        loaded, _ = settings.load(wanted.config, wanted.overrides)
        return Path(loaded.runs) / loaded.name
    except UserError:
        return None  # `settings_file` has said what is wrong with them
