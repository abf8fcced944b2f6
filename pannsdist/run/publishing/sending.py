"""Sending a folder with a model to the Hugging Face Hub, as one commit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pannsdist.inference.publishing.address import Address
from pannsdist.inference.publishing.copies import refusing
from pannsdist.runtime.errors import UserError
from pannsdist.runtime.stores import extras, hub

WRITES = "a token that may write there: HF_TOKEN, or `hf auth login`"


def send(address: Address, folder: Path, names: Sequence[str], private: bool, message: str) -> str:
    """Commit files of a folder to a repository, which is created where there is none; the commit.

    Raises UserError for a repository that is public although a private one was asked for, without a token, and for what
    the hub refuses.
    """
    library = extras.library("hf")
    if not library.get_token():
        raise UserError(f"{address}: there is no token", WRITES)

    def commit(api: Any) -> str:
        api.create_repo(address.repository, private=private or None, exist_ok=True)
        if private and not api.repo_info(address.repository).private:
            right = "make it private on the hub, or leave out --private"
            raise UserError(f"{address.repository} is there already, and public; nothing was sent", right)
        if address.revision:
            api.create_branch(address.repository, branch=address.revision, exist_ok=True)
        files = [library.CommitOperationAdd(path_in_repo=name, path_or_fileobj=str(folder / name)) for name in names]
        how = {"commit_message": message, "revision": address.revision or None}
        return str(api.create_commit(address.repository, files, **how).oid)

    with refusing(address, WRITES):
        return str(hub.asked(address.url, commit))
