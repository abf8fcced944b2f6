"""Where the files of a dataset are: paths of this machine, or URLs of stores, for one code of a plugin.

A location is a `Path` or a `Url`; both have `/`, `name`, `stem`, `suffix`, `parent` and `relative_to`, and `str` of a
URL holds no credentials. `locate` joins a root with a name from a list, `source` is what `Clip.source` gets. Reading is
repeated after passing faults of a store; what it raises in the end is OSError, and the run stops.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from pannsdist.contracts.records import EncodedSource, SourceState
from pannsdist.runtime import reading
from pannsdist.runtime.errors import CannotRead, UserError
from pannsdist.runtime.names import is_folder, path_of
from pannsdist.runtime.stores import objects, urls
from pannsdist.runtime.stores.store import ObjectState
from pannsdist.runtime.stores.urls import Url, is_url, leads_out

__all__ = [
    "Location",
    "RemoteFile",
    "Url",
    "ask_states",
    "below",
    "can_list",
    "exists",
    "is_root",
    "is_url",
    "leads_out",
    "leads_out_of",
    "listing",
    "location_of",
    "present",
    "read_bytes",
    "source",
    "states",
]

Location = Path | Url
ASKED_AT_MOST = 4096
"""Objects of a web server whose existence a plugin asks, one request each; of more it asks a sample of these."""
SAMPLE = 256


@dataclass(frozen=True)
class RemoteFile(EncodedSource):
    """An object of a store as a sound file. `known` is its state where a list or an earlier request told it."""

    url: Url
    known: SourceState | None = field(default=None, compare=False, repr=False)

    @property
    def name(self) -> str:
        """The URL without credentials."""
        return str(self.url)

    def state(self) -> SourceState:
        """See `EncodedSource`; asked once in a process. Raises OSError."""
        return self.known or _state(objects.state_of(self.url))

    def open(self) -> BinaryIO:
        """See `EncodedSource`. Reading raises `ObjectChanged`, an OSError, where the object is in another state."""
        state = self.state()
        return _Opened(objects.ObjectReader(self.url, ObjectState(state.size_bytes, state.version)))


class _Opened(io.BufferedReader):
    """Small reads of a container come out of a buffer."""


def location_of(text: str, key: str = "") -> Location:
    """The location that a setting (`key`) names. Raises UserError for a URL of no store, or with credentials."""
    return urls.parsed(text, key) if is_url(text) else path_of(text)


def below(location: Location, root: Location) -> PurePosixPath:
    """A location relative to a root of its kind. Raises ValueError for one that is not below it."""
    if isinstance(location, Url) and isinstance(root, Url):
        return location.relative_to(root)
    if isinstance(location, Path) and isinstance(root, Path):
        return PurePosixPath(location.relative_to(root))
    raise ValueError(f"{location} is not below {root}")


def leads_out_of(root: Url, name: str) -> tuple[str, str]:
    """(name relative to the root, why it is outside of it) of a name, or of the whole URL of a file, from a list."""
    if is_url(name):
        try:
            name = urls.parsed(name).relative_to(root).as_posix()
        except (ValueError, UserError):
            return name, "is a URL of another place"
    return name, leads_out(name)


def source(location: Location, known: SourceState | None = None) -> Path | RemoteFile:
    """What `Clip.source` gets for a file at a location."""
    return RemoteFile(location, known) if isinstance(location, Url) else location


def read_bytes(location: Location, at_most: int = -1) -> bytes:
    """The content of a small file, or its first bytes. Raises OSError."""
    if isinstance(location, Url):
        return objects.read_bytes(location, at_most)

    def read() -> bytes:
        with location.open("rb") as file:
            return file.read(at_most)

    return reading.retried(read)


def can_list(location: Location) -> bool:
    """Whether what is below a location can be listed; a web server lists nothing."""
    return not isinstance(location, Url) or objects.can_list(location)


def is_root(location: Location) -> bool:
    """Whether files may lie below a location: a folder, or a URL, of which that shows with the first file."""
    return isinstance(location, Url) or is_folder(location)


def exists(location: Location) -> bool:
    """Whether a file is at a location, or, where that can be listed, files below it. Raises CannotRead."""
    if not isinstance(location, Url):
        return location.exists()
    if states([location])[location] is not None:
        return True
    return can_list(location) and bool(listing(location))


def listing(root: Url) -> list[tuple[str, SourceState]]:
    """The files below a URL: their names relative to it, sorted, and their states. Raises UserError, CannotRead."""
    if not can_list(root):
        right = "a web server gives no list of its files: name them in a table, as the dataset manifest reads it"
        raise UserError(f"the files below {root} cannot be listed", right)
    try:
        return [(name, _state(state)) for name, state in objects.listing(root)]
    except OSError as error:
        raise unreadable(root, error) from error


def states(locations: Sequence[Url]) -> dict[Url, SourceState | None]:
    """The states of objects now, asked in parallel; None for one that is missing or forbidden. Raises CannotRead."""
    try:
        found = objects.states_of(locations)
    except OSError as error:
        raise unreadable(locations[0], error) from error
    return {url: _state(state) if state else None for url, state in found.items()}


def ask_states(sources: Iterable[object]) -> None:
    """Ask the states of those sources whose store is not asked yet, in parallel, so that each need not be awaited.

    Raises CannotRead.
    """
    unknown = [one.url for one in sources if isinstance(one, RemoteFile) and one.known is None]
    if unknown:
        states(unknown)


def present(
    root: Url, names: Sequence[str], listed: Mapping[str, SourceState] | None = None
) -> dict[str, RemoteFile | None]:
    """The files below a URL by their names; None for one that is missing. Raises CannotRead.

    `listed` is the `listing` of the root, where the caller has it. Where the store lists what it has, one list tells.
    Of a web server each file is asked for, of more than `ASKED_AT_MOST` only a sample: whether the others are there
    shows when they are read.
    """
    wanted = list(dict.fromkeys(names))
    if can_list(root):
        known = dict(listing(root)) if listed is None else listed
        return {name: RemoteFile(root / name, known[name]) if name in known else None for name in wanted}
    step = 1 if len(wanted) <= ASKED_AT_MOST else -(-len(wanted) // SAMPLE)
    found = states([root / name for name in wanted[::step]])
    files: dict[str, RemoteFile | None] = {}
    for name in wanted:
        url = root / name
        files[name] = RemoteFile(url, found.get(url)) if found.get(url) or url not in found else None
    return files


def unreadable(location: Location, error: OSError) -> CannotRead:
    """The error for a location that cannot be read; a store that denies or has nothing says so."""
    if not isinstance(location, Url):
        return reading.cannot_read(location, error)
    named = error.filename or location
    right = "once the store answers, the same command continues; credentials come from the environment"
    return CannotRead(f"{named} cannot be read: {error.strerror or type(error).__name__}", right)


def _state(state: ObjectState) -> SourceState:
    return SourceState(state.size_bytes, state.version)
