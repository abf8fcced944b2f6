"""Sending a folder with a model to a hub, as one commit."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from pannsdist.inference.publishing import hubs
from pannsdist.inference.publishing.address import Address
from pannsdist.inference.publishing.copies import refusing
from pannsdist.inference.publishing.hubs import MODEL_HUBS
from pannsdist.runtime.errors import UserError
from pannsdist.runtime.stores import extras, hub

MAKE_PRIVATE = "make it private on the hub, or leave out --private"


@dataclass(frozen=True)
class Parcel:
    """What is sent: files of a folder, by name, with the message of their commit."""

    folder: Path
    names: Sequence[str]
    message: str
    is_private: bool = False


def send(address: Address, parcel: Parcel) -> str:
    """Commit files to a repository, which is created where there is none; the commit, empty if the hub does not tell.

    Raises UserError for a repository that is public although a private one was asked for, without a token, and for what
    the hub refuses.
    """
    token = f"a token that may write there: {MODEL_HUBS[address.hub].token}"
    with refusing(address, token):
        if not _has_token(address):
            raise UserError(f"{address}: there is no token", token)
        return _to_hugging_face(address, parcel) if address.hub == "hf" else _to_modelscope(address, parcel)


def _has_token(address: Address) -> bool:
    library = extras.library(address.hub)
    return bool(library.get_token() if address.hub == "hf" else os.environ.get(MODEL_HUBS[address.hub].token))


def _to_hugging_face(address: Address, parcel: Parcel) -> str:
    library, repository = extras.library("hf"), address.repository

    def commit(api: Any) -> str:
        api.create_repo(repository, private=parcel.is_private or None, exist_ok=True)
        if parcel.is_private and not api.repo_info(repository).private:
            raise _public(address)
        if address.revision:
            api.create_branch(repository, branch=address.revision, exist_ok=True)
        files = [library.CommitOperationAdd(name, str(parcel.folder / name)) for name in parcel.names]
        how = {"commit_message": parcel.message, "revision": address.revision or None}
        return str(api.create_commit(repository, files, **how).oid)

    return str(hub.asked(address.url, commit))


def _to_modelscope(address: Address, parcel: Parcel) -> str:
    library, repository = extras.library("modelscope").__name__, address.repository
    errors, constants = (import_module(f"{library}.{name}") for name in ("errors", "constants"))

    def commit(api: Any) -> None:
        try:
            api.create_repo(repository, "model", visibility="private" if parcel.is_private else "public")
        except errors.AlreadyExistsError:
            if parcel.is_private and api.get_repo(repository, "model").visibility != constants.Visibility.PRIVATE:
                raise _public(address) from None
        how = {"revision": address.revision or None, "allow_patterns": list(parcel.names), "use_cache": False}
        with contextlib.redirect_stdout(sys.stderr):  # its report of the transfer
            api.upload_folder(repository, "model", parcel.folder, commit_message=parcel.message, **how)

    hubs.asked(address.url, commit)
    return ""


def _public(address: Address) -> UserError:
    return UserError(f"{address.repository} is there already, and public; nothing was sent", MAKE_PRIVATE)
