"""Reader for files of `torch.save`: zip files, and the format before PyTorch 1.6."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from pannsdist.runtime.foreign import excerpt
from pannsdist.weights.formats.arrays import (
    Array,
    blank,
    checked_shape,
    checked_sizes,
    decode,
    item_bytes,
    strided,
)
from pannsdist.weights.formats.errors import Damaged, Refused, translate_errors
from pannsdist.weights.formats.limits import MAX_SIZE, Budget
from pannsdist.weights.formats.numpy_pickle import ARRAY_BYTES, numpy_calls
from pannsdist.weights.formats.section import Section
from pannsdist.weights.formats.stored_zip import StoredZip
from pannsdist.weights.formats.tree import finished
from pannsdist.weights.formats.unpickler import Global, Pending, Unpickler, table

LEGACY_MAGIC = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
ZIP_MAGIC = b"PK\x03\x04"
STORAGES = {
    "torch.FloatStorage": "f4",
    "torch.DoubleStorage": "f8",
    "torch.HalfStorage": "f2",
    "torch.BFloat16Storage": "bf2",
    "torch.LongStorage": "i8",
    "torch.IntStorage": "i4",
    "torch.ShortStorage": "i2",
    "torch.CharStorage": "i1",
    "torch.ByteStorage": "u1",
    "torch.BoolStorage": "b1",
    "torch.ComplexFloatStorage": "c8",
    "torch.ComplexDoubleStorage": "c16",
}
BYTE_ORDERS = {b"little": "<", b"big": ">"}
"""numpy's characters for the byte orders of PyTorch."""


@dataclass(frozen=True, slots=True)
class Storage:
    """A storage, of which tensors are views: key in the file, type code and number of values."""

    key: str
    code: str
    count: int

    @property
    def size_bytes(self) -> int:
        """Size of its values in the file."""
        return self.count * item_bytes(self.code)


class Storages:
    """Cache of the values of storages; each is read once. Without `raw` they have a type and a length only."""

    def __init__(self, raw: Callable[[str], bytes] | None, order: str) -> None:
        self.raw, self.order = raw, order
        self.known: dict[str, Array] = {}

    def values(self, storage: Storage) -> Array:
        """Flat values of a storage."""
        if self.raw is None:
            return blank(storage.code, (storage.count,))
        if storage.key not in self.known:
            raw = self.raw(storage.key)
            if len(raw) != storage.size_bytes:
                raise Damaged(f"storage '{excerpt(storage.key)}': {len(raw)} bytes for {storage.count} values")
            self.known[storage.key] = decode(raw, storage.code, self.order)
        return self.known[storage.key]


class Tensor(Pending):
    """A tensor as a view of a storage, resolved later; offset and strides are in values."""

    __slots__ = ("offset", "shape", "storage", "storages", "strides")

    def __init__(self, storage: Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> None:
        self.storage, self.offset, self.shape, self.strides = storage, offset, shape, strides
        self.storages: Storages | None = None

    def finish(self) -> Array:
        """The array; tensors with a common storage still share it."""
        if self.storages is None:
            raise Refused("a tensor before its storage")
        values = self.storages.values(self.storage)
        is_contiguous = self.strides == contiguous_strides(self.shape)
        end = self.offset + math.prod(self.shape)
        if is_contiguous and end <= len(values):
            return values[self.offset : end].reshape(self.shape)
        return strided(values, self.offset, self.shape, self.strides)


class TorchPickle:
    """Pickles of a PyTorch file: the allowed names, and the storages and tensors found."""

    def __init__(self, file_bytes: int) -> None:
        self.budget = Budget(file_bytes)
        self.tensors: list[Tensor] = []
        self.storages: dict[str, Storage] = {}
        self.allowed = table(self.calls())

    def calls(self) -> dict[str, Callable[..., Any] | None]:
        """Table of the callables of PyTorch's files."""
        return {
            **numpy_calls(self.budget),
            **dict.fromkeys(STORAGES),
            "torch._utils._rebuild_tensor_v2": self.tensor,
            "torch._utils._rebuild_parameter": lambda tensor, *_flags: tensor,
            "torch.Size": lambda sizes: checked_sizes(sizes, "a size"),
        }

    def load(self, source: Section, *, values: bool = True) -> Any:
        """Load one pickle; return its tree."""
        return Unpickler(source, self.allowed, self.budget, storage=self.storage, skips_values=not values).load()

    def tensor(self, storage: object, offset: object, shape: object, strides: object, *_flags: object) -> Tensor:
        """Replacement for `_rebuild_tensor_v2`."""
        if type(storage) is not Storage or type(offset) is not int or not 0 <= offset <= MAX_SIZE:
            raise Refused("a tensor without a storage, or without a place in it")
        self.budget.spend(2 * ARRAY_BYTES)
        made = Tensor(storage, offset, checked_shape(shape, storage.code), checked_sizes(strides, "strides"))
        self.tensors.append(made)
        return made

    def storage(self, description: object) -> Storage:
        """A storage from ('storage', type, key, device, count), in old files with a view, which must be None."""
        if type(description) is not tuple or len(description) not in (5, 6):
            raise Refused("a persistent object that is not a storage")
        word, kind, key, _, count, *view = description
        if type(word) is not str or word != "storage":
            raise Refused("a persistent object that is not a storage")
        if type(kind) is not Global or kind.name not in STORAGES or type(key) is not str:
            raise Refused("a storage without type and key")
        if type(count) is not int or not 0 <= count <= MAX_SIZE or any(part is not None for part in view):
            raise Refused(f"storage '{excerpt(key)}' without a plain number of values")
        made = Storage(key, STORAGES[kind.name], count)
        if self.storages.setdefault(key, made) != made:
            raise Refused(f"storage '{excerpt(key)}' has two types or sizes")
        return made

    def finish(self, tree: Any, storages: Storages) -> Any:
        """The tree with all tensors resolved to arrays."""
        for tensor in self.tensors:
            tensor.storages = storages
        return finished(tree, self.budget)


def contiguous_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Strides, in values, of a contiguous tensor."""
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))


def is_torch(data: bytes) -> bool:
    """Whether these first bytes are the start of a PyTorch file."""
    return data.startswith((ZIP_MAGIC, LEGACY_MAGIC))


def read_torch(path: Path, *, values: bool = True) -> Any:
    """Content of a PyTorch file: dicts, lists and tuples of arrays, numbers, text and None.

    Arrays may be read-only, and share memory if the tensors did; bfloat16 becomes float32. The checksums of the zip
    format are verified; the older format has none. Without `values` arrays have shapes and types only, and their bytes
    are not verified. Raises `BadWeightsFile`.
    """
    with translate_errors(path, "PyTorch"), Path(path).open("rb") as file:
        size = Path(path).stat().st_size
        if file.read(len(ZIP_MAGIC)) == ZIP_MAGIC:
            return zip_tree(StoredZip(file, size), size, values=values)
        return legacy_tree(file, size, values=values)


def zip_tree(archive: StoredZip, file_bytes: int, *, values: bool) -> Any:
    """Parse a zip file with `<name>/data.pkl` and one member `<name>/data/<key>` per storage."""
    pickles = [name for name in archive.members if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise Refused("a zip file that PyTorch did not write")
    folder = pickles[0].removesuffix("data.pkl")
    order = archive.read(folder + "byteorder") if folder + "byteorder" in archive.members else b"little"
    if order not in BYTE_ORDERS:
        raise Damaged("the name of its byte order is neither little nor big")
    pickle = TorchPickle(file_bytes)
    tree = pickle.load(archive.section(pickles[0]), values=values)
    for storage in pickle.storages.values():
        member = archive.members.get(f"{folder}data/{storage.key}")
        if member is None or member.size != storage.size_bytes:
            found = "no bytes" if member is None else f"{member.size} bytes"
            raise Damaged(f"storage '{excerpt(storage.key)}': {found} for {storage.count} values")
    raw = (lambda key: archive.read(f"{folder}data/{key}")) if values else None
    return pickle.finish(tree, Storages(raw, BYTE_ORDERS[order]))


def legacy_tree(file: IO[bytes], file_bytes: int, *, values: bool) -> Any:
    """Parse the older format: five pickles (magic, version, machine, tree, keys), then the storages.

    Each storage is its number of values (8 bytes), then the values.
    """
    source = Section(file, 0, file_bytes)
    if source.take(min(len(LEGACY_MAGIC), source.left)) != LEGACY_MAGIC:
        raise Damaged("it does not start with the header of a PyTorch file")
    pickle = TorchPickle(file_bytes)
    pickle.load(source)
    order = machine_order(pickle.load(source))
    tree, keys = pickle.load(source, values=values), pickle.load(source)
    places = legacy_places(source, keys, pickle.storages, order)

    def raw(key: str) -> bytes:
        if key not in places:
            raise Damaged(f"storage '{excerpt(key)}' is not in the list of storages")
        section = Section(file, *places[key])
        return section.take(section.left)

    return pickle.finish(tree, Storages(raw if values else None, order))


def machine_order(machine: object) -> str:
    """The byte order of the machine that wrote an old file."""
    little = machine.get("little_endian") if type(machine) is dict else None
    if type(little) is not bool:
        raise Refused("it does not give the byte order of the machine that wrote it")
    return "<" if little else ">"


def legacy_places(source: Section, keys: object, known: dict[str, Storage], order: str) -> dict[str, tuple[int, int]]:
    """Start and end of the values of each storage of an old file, up to whose end they must reach."""
    if type(keys) is not list:
        raise Refused("the keys of its storages are not a list")
    places: dict[str, tuple[int, int]] = {}
    for key in keys:
        if type(key) is not str or key not in known or key in places:
            raise Refused(f"a key of a storage that is unknown, or not text: {excerpt(key)}")
        (count,) = struct.unpack(order + "q", source.take(8))
        size = known[key].size_bytes
        if count != known[key].count or size > source.left:
            raise Damaged(f"storage '{excerpt(key)}' is truncated, or not as long as it says")
        places[key] = (source.position, source.position + size)
        source.skip(size)
    if source.left:
        raise Damaged(f"{source.left} bytes after its end")
    return places
