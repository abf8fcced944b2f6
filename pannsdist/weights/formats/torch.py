"""Reader for files of `torch.save`: zip files, and the format before PyTorch 1.6."""

from __future__ import annotations

import math
import struct
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pannsdist.weights.formats.arrays import Array, checked_sizes, decode, item_bytes, strided
from pannsdist.weights.formats.errors import translate_errors
from pannsdist.weights.formats.numpy_pickle import numpy_calls
from pannsdist.weights.formats.unpickler import Global, Pending, Unpickler, finished, table

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


@dataclass(frozen=True)
class Storage:
    """A storage, of which tensors are views: key in the file, type code and number of values."""

    key: str
    code: str
    count: int


class Storages:
    """Cache of the values of storages; each is read once."""

    def __init__(self, raw: Callable[[str], bytes], order: str) -> None:
        self.raw, self.order = raw, order
        self.known: dict[Storage, Array] = {}

    def values(self, storage: Storage) -> Array:
        """Flat values of a storage."""
        if storage not in self.known:
            raw = self.raw(storage.key)
            if len(raw) != storage.count * item_bytes(storage.code):
                raise ValueError(f"storage {storage.key}: {len(raw)} bytes for {storage.count} values")
            self.known[storage] = decode(raw, storage.code, self.order)
        return self.known[storage]


class Tensor(Pending):
    """A tensor as a view of a storage, resolved later; offset and strides are in values."""

    def __init__(self, storage: Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> None:
        self.storage, self.offset, self.shape, self.strides = storage, offset, shape, strides
        self.storages: Storages | None = None

    def finish(self) -> Array:
        """The array; tensors with a common storage still share it."""
        if self.storages is None:
            raise ValueError("a tensor before its storage")
        values = self.storages.values(self.storage)
        is_contiguous = self.strides == contiguous_strides(self.shape)
        end = self.offset + math.prod(self.shape)
        if is_contiguous and end <= len(values):
            return values[self.offset : end].reshape(self.shape)
        return strided(values, self.offset, self.shape, self.strides)


class TorchPickle:
    """Pickles of a PyTorch file: the allowed names, and the storages and tensors found."""

    def __init__(self) -> None:
        self.tensors: list[Tensor] = []
        self.storages: dict[str, int] = {}
        self.allowed: Mapping[str, Global] = table(
            {
                **numpy_calls(),
                **dict.fromkeys(STORAGES),
                "torch._utils._rebuild_tensor_v2": self.tensor,
                "torch._utils._rebuild_parameter": lambda tensor, *_flags: tensor,
                "torch.Size": lambda sizes: checked_sizes(sizes, "a size"),
            }
        )

    def load(self, data: bytes, position: int = 0) -> tuple[Any, int]:
        """Load one pickle; return its tree and end position."""
        machine = Unpickler(data, self.allowed, self.storage, position)
        return machine.load(), machine.position

    def tensor(self, storage: object, offset: object, shape: object, strides: object, *_flags: object) -> Tensor:
        """Replacement for `_rebuild_tensor_v2`."""
        if not isinstance(storage, Storage) or type(offset) is not int or offset < 0:
            raise ValueError("a tensor without a storage")
        made = Tensor(storage, offset, checked_sizes(shape, "a shape"), checked_sizes(strides, "the strides"))
        self.tensors.append(made)
        return made

    def storage(self, description: object) -> Storage:
        """A storage from ('storage', type, key, device, count), in old files with a view, which must be None."""
        if type(description) is not tuple or len(description) not in (5, 6) or description[0] != "storage":
            raise ValueError("a persistent object that is not a storage")
        _, kind, key, _, count, *view = description
        if not isinstance(kind, Global) or kind.name not in STORAGES or type(key) is not str:
            raise ValueError("a storage without type and key")
        if type(count) is not int or count < 0 or any(part is not None for part in view):
            raise ValueError(f"storage {key[:20]} without a plain number of values")
        made = Storage(key, STORAGES[kind.name], count)
        self.storages[key] = count * item_bytes(made.code)
        return made

    def finish(self, tree: Any, storages: Storages) -> Any:
        """The tree with all tensors resolved to arrays."""
        for tensor in self.tensors:
            tensor.storages = storages
        return finished(tree)


def contiguous_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Strides, in values, of a contiguous tensor."""
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))


def is_torch(data: bytes) -> bool:
    """Whether these first bytes are the start of a PyTorch file."""
    return data.startswith((ZIP_MAGIC, LEGACY_MAGIC))


def read_torch(path: Path) -> Any:
    """Content of a PyTorch file: dicts, lists and tuples of arrays, numbers, text and None.

    Arrays may be read-only, and share memory if the tensors did; bfloat16 becomes float32. The checksums of the zip
    format are verified; the older format has none. Raises `BadWeightsFile`.
    """
    with translate_errors(path, "PyTorch"), Path(path).open("rb") as file:
        if file.read(len(ZIP_MAGIC)) == ZIP_MAGIC:
            with zipfile.ZipFile(file) as archive:
                return zip_tree(archive, Path(path).stat().st_size)
        file.seek(0)
        return legacy_tree(file.read())


def zip_tree(archive: zipfile.ZipFile, file_bytes: int) -> Any:
    """Parse a zip file with `<name>/data.pkl` and one member `<name>/data/<key>` per storage.

    PyTorch does not compress, so compressed members are rejected, and so are members larger than the file.
    """
    members = archive.infolist()
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise ValueError("a compressed member, which PyTorch does not write")
    if sum(member.file_size for member in members) > file_bytes:
        raise ValueError("its members are larger than the file")
    names = [member.filename for member in members]
    pickles = [name for name in names if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(pickles) != 1 or len(set(names)) != len(names):
        raise ValueError("a zip file that PyTorch did not write")
    folder = pickles[0].removesuffix("data.pkl")
    order = archive.read(folder + "byteorder") if folder + "byteorder" in names else b"little"
    pickle = TorchPickle()
    tree, _ = pickle.load(archive.read(pickles[0]))
    return pickle.finish(tree, Storages(lambda key: archive.read(f"{folder}data/{key}"), byte_order(order)))


def byte_order(name: bytes) -> str:
    """numpy's character for a byte order of PyTorch."""
    return {b"little": "<", b"big": ">"}[name]


def legacy_tree(data: bytes) -> Any:
    """Parse the older format: five pickles (magic, version, machine, tree, keys), then the storages.

    Each storage is its number of values (8 bytes), then the values.
    """
    if not data.startswith(LEGACY_MAGIC):
        raise ValueError("it does not start with the header of a PyTorch file")
    pickle = TorchPickle()
    _, position = pickle.load(data, len(LEGACY_MAGIC))
    machine, position = pickle.load(data, position)
    order = "<" if machine["little_endian"] is True else ">"
    tree, position = pickle.load(data, position)
    keys, position = pickle.load(data, position)
    raw: dict[str, bytes] = {}
    for key in keys:
        size = pickle.storages[key]
        (count,) = struct.unpack_from(order + "q", data, position)
        position += 8
        if count < 0 or size > len(data) - position or (count and size % count) or (not count and size):
            raise ValueError(f"storage {key[:20]} is truncated")
        raw[key] = data[position : position + size]
        position += size
    if position != len(data):
        raise ValueError(f"{len(data) - position} bytes after its end")
    return pickle.finish(tree, Storages(raw.__getitem__, order))
