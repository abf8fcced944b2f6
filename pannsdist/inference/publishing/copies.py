"""Copies of published models on this machine: one folder for each commit, fetched once, verified at every use.

Nothing of a repository is executed, and no name of it becomes a path: the files of a model are asked for by their own
names, within bounds, and checked against the hub's checksums and those of `SHA256SUMS`.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pannsdist.inference.publishing import address, checksums
from pannsdist.inference.publishing.address import Address
from pannsdist.inference.publishing.checksums import FETCHED, MAX_BYTES
from pannsdist.inference.publishing.hubs import MODEL_HUBS
from pannsdist.runtime import reading, storage
from pannsdist.runtime.errors import BadBundle, UserError, shell_command
from pannsdist.runtime.stores import hub, urls
from pannsdist.runtime.stores.failures import Passing, StoreError
from pannsdist.runtime.stores.store import ObjectState
from pannsdist.runtime.user_folder import home
from pannsdist.weights.downloads.fetch import exclusive

DEFAULT = "HEAD"
"""The name under which the commit of the default branch is remembered."""
_said: set[str] = set()
AT_COMMIT = "a commit that is on this machine needs no network"


def model_folder(place: str | os.PathLike[str]) -> str | os.PathLike[str]:
    """The folder of a model that `hf://USER/NAME[@REVISION]` names, fetched where it is not on this machine.

    Anything but a URL is given back as it is. A commit that is on this machine makes no request; a branch or a tag is
    resolved once in a process, and the commit is printed. Raises UserError for what cannot be had, BadBundle for what
    is damaged or no model.
    """
    if not (isinstance(place, str) and urls.is_url(place)):
        return place
    wanted = address.parsed(place)
    commit = _commit(wanted)
    folder = _home(wanted) / commit
    if not reading.is_folder(folder):
        with exclusive(folder, UserError) as failure:
            if failure:
                raise UserError(*failure)
            if not reading.is_folder(folder):
                _fetch(wanted, commit, folder)
    again = f"remove {folder}: the same command fetches it again"
    checksums.verify(folder, wanted, again, shell_command("rm", "-r", folder))
    return folder


def _home(wanted: Address) -> Path:
    """The folder of the copies of a repository, one for each commit, and of the commits of its branches."""
    return home() / "models" / wanted.hub / wanted.repository


def _commit(wanted: Address) -> str:
    """The commit of an address. Off line, that which its branch had when it was last asked for."""
    if hub.COMMIT.fullmatch(wanted.revision):
        return wanted.revision
    known = _home(wanted) / "refs" / (wanted.revision or DEFAULT)
    if hub.is_offline():
        commit = reading.text_or_empty(known).strip()
        if not hub.COMMIT.fullmatch(commit):
            right = f"unset {hub.OFFLINE}, or name a commit that is here\n{_here(wanted)}"
            raise UserError(f"{wanted} is not on this machine, and {hub.OFFLINE} forbids to ask the hub", right)
        _say(f"{wanted}: commit {commit}, as last asked for ({hub.OFFLINE} is set)")
        return commit
    with refusing(wanted):
        commit = MODEL_HUBS[wanted.hub].version(wanted)
    if not hub.COMMIT.fullmatch(commit):
        raise UserError(f"the hub names no version of {wanted}", "it does not speak the protocol of this hub")
    if reading.text_or_empty(known).strip() != commit:
        storage.make_folder(known.parent)
        storage.write_atomic(known, f"{commit}\n")
    _say(f"{wanted}: commit {commit}")
    return commit


def _say(line: str) -> None:
    """Print a line, once in a process."""
    if line not in _said:
        _said.add(line)
        print(line, file=sys.stderr, flush=True)


def _fetch(wanted: Address, commit: str, folder: Path) -> None:
    """Fetch the files of a model at a commit into a new folder, atomically."""
    at = wanted if wanted.hub == "modelscope" else wanted.at(commit)
    with refusing(wanted):
        MODEL_HUBS[wanted.hub].version(at)  # one attempt: what cannot be reached is said at once
        states = _states(at)
        size = sum(state.size_bytes for state in states.values())
        print(f"downloading {at}, {size / 1e6:.1f} MB\n  to {folder}", file=sys.stderr, flush=True)

        def fill(temporary: Path) -> None:
            for name, state in states.items():
                _receive(at, name, state, temporary / name)
            checksums.verify(temporary, wanted, "ask its author: it was published so, or changed by hand")

        storage.write_folder_atomic(folder, fill)


def _states(wanted: Address) -> Mapping[str, ObjectState]:
    """The files of a model in a repository. Raises BadBundle where one is missing or too large."""
    found = MODEL_HUBS[wanted.hub].files(wanted)
    if lost := [name for name in FETCHED if name not in found]:
        right = "a model is published by `pannsdist publish`; other repositories are not read"
        raise BadBundle(f"{wanted} is no model of pannsdist: it has no {', '.join(lost)}", right)
    for name, state in found.items():
        if not 0 <= state.size_bytes <= MAX_BYTES[name]:
            wrong = f"{name} of {wanted} has {state.size_bytes:,} bytes"
            raise BadBundle(wrong, f"at most {MAX_BYTES[name]:,} are fetched of such a file")
    return found


def _receive(wanted: Address, name: str, state: ObjectState, path: Path) -> None:
    """Write a file of a repository into a file. Raises BadBundle where it has not the checksum that the hub knows."""
    digest = _digest(state)
    with storage.opened(path, "wb") as file:
        for part in MODEL_HUBS[wanted.hub].parts(wanted, name, state):
            digest.update(part)
            with storage.writing(path):
                file.write(part)
    if digest.hexdigest() != state.version:
        right = "the same command fetches it again; a mirror may have sent something else"
        raise BadBundle(f"{name} of {wanted} came damaged: its checksum is not the one that the hub knows", right)


def _digest(state: ObjectState) -> Any:
    """What computes a checksum like that of the hub: SHA-256 of a large file, git's of any other."""
    if len(state.version) == 64:
        return hashlib.sha256()
    return hashlib.sha1(b"blob %d\0" % state.size_bytes, usedforsecurity=False)


@contextmanager
def refusing(wanted: Address, token: str = "") -> Iterator[None]:
    """Turn what a store raises in the block into a UserError about a model on a hub that needs a `token`."""
    needs = token or f"a token that may read it: {MODEL_HUBS[wanted.hub].token}"
    try:
        yield
    except FileNotFoundError as error:
        raise UserError(f"{wanted}: {error.strerror}", f"{address.FORM}\na private one needs {needs}") from error
    except PermissionError as error:
        raise UserError(f"{wanted}: {error.strerror}", f"there is no such repository, or it needs {needs}") from error
    except StoreError as error:
        raise UserError(f"{wanted}: {error.strerror}", f"{AT_COMMIT}\n{_here(wanted)}") from error
    except Passing as error:
        raise UserError(f"{wanted}: {error}", f"try again; {AT_COMMIT}\n{_here(wanted)}") from error


def _here(wanted: Address) -> str:
    """The copies of a repository that are on this machine, as one line."""
    folder = _home(wanted)
    names = reading.names_in(folder) if reading.is_folder(folder) else []
    commits = sorted(name for name in names if hub.COMMIT.fullmatch(name))
    return f"on this machine: {', '.join(str(wanted.at(one)) for one in commits) or 'none'}"
