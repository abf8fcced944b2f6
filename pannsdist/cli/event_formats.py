"""Output formats of `detect` beside those of all commands: labels of events that other programs and datasets read."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from pannsdist.cli.formats import EVENTS, FORMATS, Output, Result
from pannsdist.contracts.event_files_writing import audacity_text, raven_text
from pannsdist.runtime import outputs, storage
from pannsdist.runtime.errors import UserError
from pannsdist.runtime.names import shown

TRACKS: dict[str, tuple[str, Callable[[Sequence[Any]], str]]] = {
    "audacity": (".txt", audacity_text),
    "raven": (".selections.txt", raven_text),
}
"""Formats with a file for each sound: its ending, and its text."""
EVENT_OUTPUT_FORMATS = (*FORMATS, *EVENTS.texts, *TRACKS)


@dataclass(frozen=True)
class EventOutput(Output):
    """Where detected events go. Of the formats of `TRACKS`, `path` is a file for one sound, and a folder for several.

    `names` are the tracks of the sounds, by what a result calls them. Raises UserError.
    """

    names: dict[str, str] | None = None

    @classmethod
    def of(cls, path: Path | None, given: str | None, sources: Sequence[object]) -> EventOutput:
        """The output for some sounds; one that cannot be written is refused before the work begins."""
        if given not in TRACKS:
            if path is not None:
                outputs.require_file(path, "-o")
            return cls(path, given)
        names = _names(sources, TRACKS[given][0])
        if path is None:
            if len(names) > 1:
                wrong = f"--format {given} writes a file for each sound, and there are {len(names)}"
                raise UserError(wrong, "name a folder for them: -o FOLDER")
        elif len(names) == 1 and not path.is_dir():
            outputs.require_file(path, "-o")
        else:
            outputs.require_folder(path, "-o")
        return cls(path, given, names)

    def write_events(self, results: Iterable[Result]) -> None:
        """Write the events of each sound. A file appears once it is whole. Raises CannotWrite, UserError."""
        if self.name not in TRACKS:
            self.write(EVENTS, results)
            return
        assert self.names is not None
        for result in results:
            text = TRACKS[self.name][1](result.found)
            if self.path is None:
                sys.stdout.write(text)
                sys.stdout.flush()
            elif len(self.names) == 1 and not self.path.is_dir():
                storage.write_atomic(self.path, text)
            else:
                target = self.path / self.names[result.path]
                storage.make_folder(target.parent)
                storage.write_atomic(target, text)


def _names(sources: Sequence[object], ending: str) -> dict[str, str]:
    """The file of each sound below a folder: its path from the folder that all sounds are in. Raises UserError."""
    paths = [PurePosixPath(shown(source)) for source in sources]
    shared = [set(path.parents) for path in paths]
    above = max(set.intersection(*shared), key=lambda folder: len(folder.parts)) if shared else PurePosixPath()
    names: dict[str, str] = {}
    for path in paths:
        name = str(path.relative_to(above).with_suffix("")) + ending
        if name in names.values():
            other = next(known for known, taken in names.items() if taken == name)
            if other != str(path):
                right = "detect them with two commands, into two folders, or use the format jsonl"
                raise UserError(f"{other} and {path} would both have the file {name}", right)
        names[str(path)] = name
    return names
