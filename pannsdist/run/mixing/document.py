"""`soundscapes.json`: everything that the soundscapes of a folder depend on, written before the first of them.

A folder is continued only where it would be written again with the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import scipy

import pannsdist
from pannsdist.audio.identity import reader_versions
from pannsdist.run.mixing.jams import seconds
from pannsdist.run.mixing.recipe import Recipe
from pannsdist.run.mixing.sources import SourceClip, Sources, SplitSources
from pannsdist.runtime import reading, storage
from pannsdist.runtime.errors import CannotWrite, shell_command
from pannsdist.runtime.names import shown
from pannsdist.settings.loading import to_dict
from pannsdist.settings.plain import flat

NAME = "soundscapes.json"
FORMAT = 1
NAMED = 3


def document(recipe: Recipe, sources: Sources) -> bytes:
    """The content of the file: recipe, versions, and each source with where it sounds, in seconds."""
    content = {
        "format": FORMAT,
        "versions": {"pannsdist": pannsdist.__version__, "scipy": scipy.__version__, **reader_versions()},
        "recipe": to_dict(recipe),
        "dataset": sources.dataset,
        "left_out": list(sources.left_out),
        "splits": {split: _split(of_split, recipe.rate_hz) for split, of_split in sources.splits.items()},
    }
    return storage.encoded(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def _split(found: SplitSources, rate_hz: int) -> dict[str, Any]:
    labels = {
        label: {shown(one.clip.id): _clip(one, rate_hz) for one in clips} for label, clips in found.by_label.items()
    }
    backgrounds = zip((shown(clip.id) for clip in found.backgrounds), found.contents, strict=True)
    return {"sources": labels, "backgrounds": dict(backgrounds)}


def _clip(clip: SourceClip, rate_hz: int) -> dict[str, Any]:
    """A checksum of its samples, and where its sources are."""
    times = [f"{seconds(one.first, rate_hz)} to {seconds(one.end, rate_hz)}" for one in clip.sources]
    return {"content": clip.content, "sources_s": times}


def refuse_foreign(output: Path) -> None:
    """Raise CannotWrite for a folder with anything in it but soundscapes."""
    names = reading.names_in(output)
    if names and NAME not in names:
        right = "soundscapes are written into a new folder; give another one, or remove this one first"
        raise CannotWrite(f"-o {output} exists, and is not empty", right, shell_command("ls", output))


def begin(output: Path, content: bytes) -> None:
    """Write the file, or find the same one. Raises CannotWrite where the folder has soundscapes of another kind."""
    written = reading.bytes_or_empty(output / NAME)
    if not written:
        storage.make_folder(output)
        storage.write_atomic(output / NAME, content)
    elif written != content:
        differing = list(_differences(written, content))
        right = "\n".join(differing[:NAMED]) + ("\nand more" if len(differing) > NAMED else "")
        right += "\ngive another folder, or remove this one"
        wrong = f"-o {output} has soundscapes that this command would not make"
        raise CannotWrite(wrong, right, shell_command("less", output / NAME))


def _differences(written: bytes, wanted: bytes) -> Iterator[str]:
    """What differs, a line for each key."""
    try:
        before = flat(json.loads(written))
    except ValueError:
        yield f"its {NAME} is damaged"
        return
    now = flat(json.loads(wanted))
    for key in dict.fromkeys((*before, *now)):
        if before.get(key) != now.get(key):
            yield f"{shown(key)}: {_short(before.get(key))} there, {_short(now.get(key))} now"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."
