"""Publishing: a model folder becomes a repository on a hub, or a folder, with a card and checksums."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from pannsdist.inference.bundle import RECORD_FILE, WEIGHTS_FILE, read_record
from pannsdist.inference.publishing import address
from pannsdist.inference.publishing.address import Address
from pannsdist.inference.publishing.checksums import CARD_FILE, MAX_BYTES, SUMS_FILE, write_sums
from pannsdist.registry import Catalog
from pannsdist.run.publishing.card import card
from pannsdist.run.publishing.facts import gathered
from pannsdist.run.publishing.redacting import public_record, refuse_secrets
from pannsdist.run.publishing.sending import Parcel, send
from pannsdist.runtime import outputs, reading, storage
from pannsdist.runtime.errors import BadBundle, UserError, shell_command
from pannsdist.runtime.foreign import MAX_JSON_BYTES, parse_json
from pannsdist.runtime.stores.hub import COMMIT
from pannsdist.runtime.stores.urls import is_url

FILES = (RECORD_FILE, WEIGHTS_FILE, CARD_FILE)
"""What is published, with the checksums of these."""
_LICENCE = re.compile(r"[a-z0-9][a-z0-9.+-]{0,63}")


@dataclass(frozen=True)
class PublishRequest:
    """What is asked for: a model folder, where to, under which licence, and whether anything is sent."""

    model: Path
    to: str
    licence: str = ""
    private: bool = False
    message: str = ""
    dry_run: bool = False


def publish(request: PublishRequest, catalog: Catalog) -> str:
    """Publish a model folder; what was done, as text.

    A dry run makes everything, writes nothing and gives the card. Raises BadBundle for a folder that is none, UserError
    for a secret in it, for a target that cannot be, and for what a hub refuses.
    """
    target = _target(request)
    licence = _licence(request.licence)
    read_record(request.model)  # verified before anything is made of it
    with storage.temporary_folder() as temporary:
        staged = temporary / "model"
        storage.make_folder(staged)
        _stage_model(storage.complete_version(request.model), staged)
        text = _card(request.model, staged, target, licence, catalog)
        _write_text(staged / CARD_FILE, text)
        write_sums(staged, FILES)
        notes = [] if licence else ["note: no licence is stated (--licence ID), so nobody may rely on one"]
        if not request.dry_run:
            return "\n".join([*notes, _done(request, target, staged)])
        files = [f"  {one.name}, {one.stat().st_size:,} bytes" for one in sorted(staged.iterdir())]
        return "\n".join([text, f"nothing was published; to {target}:", *files, *notes])


def _card(model: Path, staged: Path, target: Address | Path, licence: str, catalog: Catalog) -> str:
    """The card of a staged model, whose record is the public one; `model` is where its run may be beside it."""
    is_on_hub = isinstance(target, Address)
    name = target.repository.partition("/")[2] if isinstance(target, Address) else target.resolve().name
    return card(gathered(model, read_record(staged), catalog), name, str(target) if is_on_hub else name, licence)


def _target(request: PublishRequest) -> Address | Path:
    """Where to publish. Raises UserError for what is neither a repository nor a folder that may be replaced."""
    if is_url(request.to):
        target = address.parsed(request.to)
        if COMMIT.fullmatch(target.revision):
            raise UserError(f"{target} is a commit, which never changes", f"give a branch: {target.at('main')}")
        return target
    if request.private or request.message:
        raise UserError("--private and --message are for a hub", "leave them out, or give --to hf://USER/NAME")
    folder = Path(request.to)
    outputs.require_folder(folder, "--to")
    if reading.names_in(folder) and not reading.exists(folder / SUMS_FILE):
        right = "give a new folder, or one that was published before, which is replaced"
        raise UserError(f"--to {folder} is a folder with other files", right)
    return folder


def _licence(given: str) -> str:
    """The identifier of a licence as the hubs write it: `MIT` is `mit`. Raises UserError for a text that is none."""
    licence = given.strip().lower().replace(" ", "-")
    if given and not _LICENCE.fullmatch(licence):
        raise UserError(f"--licence '{given}' is no identifier of a licence", "such as apache-2.0, mit or cc-by-4.0")
    return licence


def _stage_model(model: Path, staged: Path) -> None:
    """Put the public record and the weights of a model into a folder. Raises as `publish`."""
    content = public_record(parse_json(reading.bytes_or_empty(model / RECORD_FILE), RECORD_FILE, MAX_JSON_BYTES))
    _write_text(staged / RECORD_FILE, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    with (model / WEIGHTS_FILE).open("rb") as weights:
        storage.copy_stream(weights, staged / WEIGHTS_FILE)
    _require_size(staged / WEIGHTS_FILE)


def _write_text(path: Path, text: str) -> None:
    refuse_secrets(path.name, text)
    storage.write_file(path, text)
    _require_size(path)


def _require_size(path: Path) -> None:
    if path.stat().st_size > MAX_BYTES[path.name]:
        raise BadBundle(f"{path.name} has more than {MAX_BYTES[path.name]:,} bytes", "nobody could load it")


def _done(request: PublishRequest, target: Address | Path, staged: Path) -> str:
    names = (*FILES, SUMS_FILE)
    if isinstance(target, Path):

        def fill(folder: Path) -> None:
            for name in names:
                with (staged / name).open("rb") as file:
                    storage.copy_stream(file, folder / name)

        storage.write_folder_atomic(target, fill)
        return f"{target}: {len(names)} files\n  next: {_trying(target)}"
    message = request.message or f"Publish a model with pannsdist: {target.repository}"
    commit = send(target, Parcel(staged, names, message, request.private))
    at = target.at(commit) if commit else target
    said = f", commit {commit}" if commit else ""
    return f"published: {target}{said}, {len(names)} files\n  next: {_trying(at)}"


def _trying(place: Address | Path) -> str:
    return shell_command("pannsdist", "predict", "--model", place, "FILE...")
