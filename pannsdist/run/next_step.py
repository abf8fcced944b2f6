"""The command that a user types next."""

from __future__ import annotations

from pathlib import Path

from pannsdist.runtime.errors import shell_command


def sound_command(model: Path, by_frame: bool) -> str:
    """The command that shows what a model folder answers for sounds: `detect` where its network answers by frame."""
    return shell_command("pannsdist", "detect" if by_frame else "predict", "--model", model, "FILE...")
