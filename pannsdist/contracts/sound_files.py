"""The sound files of a folder: one rule for datasets, augmentations and commands, and what it leaves out.

A file counts by its ending, in upper or lower case; it is opened by whoever uses it, who also refuses an empty file and
a link to nothing. What only PyAV reads counts where PyAV is installed. Folders are searched recursively, whatever their
names. Left out and named: formats that are not read, hidden files and folders (`._x.wav` and `__MACOSX` are metadata of
macOS), links to folders (they could form loops), and names that are no files, such as pipes. Files of other kinds, such
as notes, are not mentioned.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path, PurePath, PurePosixPath

from pannsdist.contracts.locations import Location, RemoteFile, Url, leads_out, listing, source
from pannsdist.contracts.records import SourceState
from pannsdist.runtime.errors import UserError, shell_command
from pannsdist.runtime.names import shown

__all__ = [
    "AV_ENDINGS",
    "SOUND_FILE_ENDINGS",
    "Skipped",
    "SoundFiles",
    "find_sound_files",
    "how_to_read",
    "is_hidden",
    "is_sound",
    "merged",
    "sound_endings",
]

SOUND_FILE_ENDINGS = (
    *(".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif", ".aifc", ".au", ".snd", ".caf", ".w64"),
    *(".rf64", ".wave", ".bwf", ".wavex", ".amb", ".mp2", ".mp1", ".mpga", ".m1a", ".m2a", ".sph", ".nist", ".voc"),
    *(".sf", ".ircam", ".iff", ".svx", ".8svx", ".16svx", ".avr", ".htk", ".paf", ".fap", ".pvf", ".sd2", ".sds"),
    *(".wve", ".xi"),
)
"""Usual endings of the formats that libsndfile 1.2 reads. Not `.mat` and `.mpc`, which mostly are something else."""
AV_ENDINGS = (
    *(".m4a", ".m4b", ".m4r", ".mp4", ".m4v", ".mov", ".qt", ".3gp", ".3g2", ".aac", ".adts", ".wma", ".wmv", ".asf"),
    *(".webm", ".weba", ".mka", ".mkv", ".avi", ".flv", ".mpg", ".mpeg", ".amr", ".awb", ".ac3", ".eac3", ".ec3"),
    *(".dts", ".ape", ".wv", ".tta", ".tak", ".rm", ".ra", ".spx"),
)
"""Usual endings of formats that PyAV reads: of a video its sound track."""
SHOWN_NAMES = 3


@dataclass(frozen=True)
class Kind:
    """Why names are left out, and what to do to use them; `{name}` and `{target}` are an example, quoted."""

    what: str
    remedy: str = ""


CONVERTIBLE = Kind("in a format that libsndfile does not read", "convert: ffmpeg -i {name} {target}")
FOR_AV = Kind("that PyAV would read", "pip install 'pannsdist[av]', or convert: ffmpeg -i {name} {target}")
HEADERLESS = Kind("without a header", "convert: ffmpeg -f s16le -ar RATE_HZ -ac CHANNELS -i {name} {target}")
UNSURE = Kind("in a format that is rarely sound", "give a file by its name to have it read")
HIDDEN = Kind("hidden", "rename a file that is a sound")
HIDDEN_FOLDERS = Kind("hidden folder(s)")
LINKED_FOLDERS = Kind("link(s) to folders", "name the folder itself")
NO_FILES = Kind("no regular file")
NO_NAMES = Kind("with an empty part, '.' or '..' in the name", "rename a file that is a sound")
_UNREAD = {
    CONVERTIBLE: ".aax .dsf .dff .shn .mpp .alac .oma .at3 .qcp .adx .mogg",
    HEADERLESS: ".raw .pcm .vox .gsm .sln .ul .ulaw .mulaw .al .alaw .g721 .g722 .g723 .g726 .g729 .s16 .f32",
    UNSURE: ".mat .mat4 .mat5 .mpc .mpc2k",
}
_KIND_OF = {ending: kind for kind, endings in _UNREAD.items() for ending in endings.split()}


@dataclass(frozen=True)
class Skipped:
    """Names of one kind that were left out, relative to the searched folder `root`."""

    kind: Kind
    root: Location
    names: tuple[str, ...]

    def __str__(self) -> str:
        some = ", ".join(map(shown, self.names[:SHOWN_NAMES]))
        more = f" and {len(self.names) - SHOWN_NAMES} more" if len(self.names) > SHOWN_NAMES else ""
        files = "" if self.kind.what.endswith("s)") or self.kind is NO_FILES else "file(s) "
        example = PurePosixPath(self.names[0])
        remedy = _remedy(self.kind, example if isinstance(self.root, Url) else self.root / example)
        return f"{len(self.names)} {files}{self.kind.what} ({some}{more})" + (f"; {remedy}" if remedy else "")


@dataclass(frozen=True)
class SoundFiles:
    """The sound files below a folder, sorted by path, and what was left out; `linked_files` are links among them.

    Of those of a store, `states` has what its list said of them.
    """

    files: tuple[Location, ...]
    skipped: tuple[Skipped, ...] = ()
    linked_files: tuple[Path, ...] = ()
    states: Mapping[Location, SourceState] = field(default_factory=dict, repr=False, compare=False)

    @property
    def sources(self) -> tuple[Path | RemoteFile, ...]:
        """The files as `Clip.source` gets them, and inference."""
        return tuple(source(one, self.states.get(one)) for one in self.files)

    @property
    def nothing(self) -> str:
        """For the refusal of a folder without sound files: what was left out, and the endings."""
        left_out = [f"left out: {one}" for one in self.skipped]
        return "\n".join([*left_out, f"endings: {' '.join(sound_endings())}"])

    @property
    def linked_folders(self) -> list[Path]:
        """The links to folders that were left out."""
        folders = [one for one in self.skipped if one.kind is LINKED_FOLDERS]
        return [one.root / name for one in folders if isinstance(one.root, Path) for name in one.names]


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is left out: it starts with a dot, or is `__MACOSX`."""
    return name.startswith(".") or name == "__MACOSX"


def is_sound(name: str) -> bool:
    """Whether a file of this name counts as a sound: it is not hidden, and has one of the `sound_endings`."""
    return not is_hidden(name) and _ending(name) in sound_endings()


@cache
def sound_endings() -> tuple[str, ...]:
    """The endings of the formats that are read: those of PyAV where it is installed."""
    return SOUND_FILE_ENDINGS + (AV_ENDINGS if find_spec("av") else ())


def _unread_format(name: str) -> Kind | None:
    """Why a sound file of this name is not read, by its ending; None for readable ones and for other files."""
    ending = _ending(name)
    return FOR_AV if ending in AV_ENDINGS and ending not in sound_endings() else _KIND_OF.get(ending)


def how_to_read(path: Path) -> str:
    """How to get a file read that has an ending of no format that is read; empty for other files."""
    kind = _unread_format(path.name)
    return "" if kind not in (CONVERTIBLE, FOR_AV, HEADERLESS) else _remedy(kind, path)


def find_sound_files(root: Location) -> SoundFiles:
    """The sound files below a folder or URL. Raises UserError for one that cannot be listed; opens no file."""
    if isinstance(root, Url):
        return _find_remote(root)
    files: list[str] = []
    links: set[str] = set()
    skipped: dict[Kind, list[str]] = {}
    try:
        for entry, kind in _walk(root):
            if kind is not None:
                skipped.setdefault(kind, []).append(Path(entry.path).relative_to(root).as_posix())
                continue
            files.append(entry.path)
            if entry.is_symlink():
                links.add(entry.path)
    except OSError as error:
        wrong = f"cannot list the folder {error.filename}: {error.strerror}"
        raise UserError(wrong, "all folders that are searched for sounds must be readable") from error
    files.sort(key=lambda name: name.replace("/", "\0"))  # the order of Path, folder by folder
    left_out = tuple(Skipped(kind, root, tuple(sorted(skipped[kind]))) for kind in skipped)
    return SoundFiles(tuple(map(Path, files)), left_out, tuple(map(Path, sorted(links))))


def _find_remote(root: Url) -> SoundFiles:
    """The sound files below a URL, by the same rule; a store has no links, and no folders but those of its names."""
    states: dict[str, SourceState] = {}
    skipped: dict[Kind, list[str]] = {}
    for name, state in listing(root):
        *folders, own = name.split("/")
        hidden = next((place for place, folder in enumerate(folders) if is_hidden(folder)), None)
        is_readable = _ending(own) in SOUND_FILE_ENDINGS
        kind = _unread_format(own)
        if not own or not (is_readable or kind):
            continue
        if leads_out(name):
            skipped.setdefault(NO_NAMES, []).append(name)
        elif hidden is not None:
            skipped.setdefault(HIDDEN_FOLDERS, []).append("/".join(folders[: hidden + 1]))
        elif is_hidden(own) or kind:
            skipped.setdefault(HIDDEN if is_hidden(own) or kind is None else kind, []).append(name)
        else:
            states[name] = state
    left_out = tuple(Skipped(kind, root, tuple(sorted(set(names)))) for kind, names in skipped.items())
    found: dict[Location, SourceState] = {
        root / name: states[name] for name in sorted(states, key=lambda name: name.replace("/", "\0"))
    }
    return SoundFiles(tuple(found), left_out, states=found)


def merged(found: Iterable[SoundFiles]) -> SoundFiles:
    """The results of several searches as one, in their order."""
    everything = list(found)
    return SoundFiles(
        tuple(path for one in everything for path in one.files),
        tuple(skipped for one in everything for skipped in one.skipped),
        tuple(path for one in everything for path in one.linked_files),
        {location: state for one in everything for location, state in one.states.items()},
    )


def _walk(root: Path) -> Iterator[tuple[os.DirEntry[str], Kind | None]]:
    """Every sound file below a folder (None), and every name that is left out and why; in no order."""
    folders = [str(root)]
    while folders:
        with os.scandir(folders.pop()) as listing:
            entries = list(listing)
        for entry in entries:
            if _is_folder(entry) and not is_hidden(entry.name) and not entry.is_symlink():
                folders.append(entry.path)
            elif counts := _judged(entry):
                yield entry, counts[0]


def _judged(entry: os.DirEntry[str]) -> tuple[Kind | None] | None:
    """Why an entry is left out, (None,) for a sound file, and None for what is not mentioned."""
    is_file_of_sound = _ending(entry.name) in sound_endings()
    if is_hidden(entry.name):
        if _is_folder(entry):
            return (HIDDEN_FOLDERS,)
        return (HIDDEN,) if is_file_of_sound or _unread_format(entry.name) else None
    if _is_folder(entry):
        return (LINKED_FOLDERS,)
    if is_file_of_sound:
        is_broken_link = entry.is_symlink() and not os.path.exists(entry.path)  # noqa: PTH110 raises for nothing
        return (None,) if is_broken_link or entry.is_file() else (NO_FILES,)
    kind = _unread_format(entry.name)
    return (kind,) if kind else None


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder, or a link to one; unlike `entry.is_dir`, False for a link that leads to itself."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _remedy(kind: Kind, example: PurePath) -> str:
    name, target = (shell_command(shown(path)) for path in (example, example.with_suffix(".flac")))
    return kind.remedy.format(name=name, target=target)


def _ending(name: str) -> str:
    _, dot, ending = name.rpartition(".")  # a file named `.wav` has this ending, although it is hidden
    return (dot + ending).lower().rstrip(" ")
