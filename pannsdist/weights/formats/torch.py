"""Reader of what `torch.save` writes: zip files, and the format before PyTorch 1.6."""

from __future__ import annotations

import math
import struct
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pannsdist.weights.formats.arrays import Array, checked_sizes, decode, item_bytes, strided
from pannsdist.weights.formats.numpy_pickle import numpy_calls
from pannsdist.weights.formats.refusal import refusing
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
    """A row of values that tensors are views of: its key in the file, type code and number of values."""

    key: str
    code: str
    count: int


class Storages:
    """The values of each storage, read once, however many tensors share it."""

    def __init__(self, raw: Callable[[str], bytes], order: str) -> None:
        self.raw, self.order = raw, order
        self.known: dict[Storage, Array] = {}

    def values(self, storage: Storage) -> Array:
        """All values of a storage, flat."""
        if storage not in self.known:
            raw = self.raw(storage.key)
            if len(raw) != storage.count * item_bytes(storage.code):
                raise ValueError(f"storage {storage.key}: {len(raw)} bytes for {storage.count} values")
            self.known[storage] = decode(raw, storage.code, self.order)
        return self.known[storage]


class Tensor(Pending):
    """A view of a storage, made when the storages can be read; offset and strides count values."""

    def __init__(self, storage: Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> None:
        self.storage, self.offset, self.shape, self.strides = storage, offset, shape, strides
        self.storages: Storages | None = None

    def finish(self) -> Array:
        """The array; tensors that shared their values still do."""
        if self.storages is None:
            raise ValueError("a tensor before its storage")
        values = self.storages.values(self.storage)
        is_plain = self.strides == plain_strides(self.shape)
        end = self.offset + math.prod(self.shape)
        if is_plain and end <= len(values):
            return values[self.offset : end].reshape(self.shape)
        return strided(values, self.offset, self.shape, self.strides)


class TorchPickle:
    """The pickle in a PyTorch file: which names it may use, and the storages and tensors that it mentions."""

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
        """The tree of one pickle, and where the pickle ends."""
        machine = Unpickler(data, self.allowed, self.storage, position)
        return machine.load(), machine.position

    def tensor(self, storage: object, offset: object, shape: object, strides: object, *_flags: object) -> Tensor:
        """What stands in for `_rebuild_tensor_v2`."""
        if not isinstance(storage, Storage) or type(offset) is not int or offset < 0:
            raise ValueError("a tensor without a storage")
        made = Tensor(storage, offset, checked_sizes(shape, "a shape"), checked_sizes(strides, "the strides"))
        self.tensors.append(made)
        return made

    def storage(self, description: object) -> Storage:
        """A storage out of ('storage', type, key, device, count), and in old files a view, which must be None."""
        if type(description) is not tuple or len(description) not in (5, 6) or description[0] != "storage":
            raise ValueError("something outside of the pickle that is no storage")
        _, kind, key, _, count, *view = description
        if not isinstance(kind, Global) or kind.name not in STORAGES or type(key) is not str:
            raise ValueError("a storage without type and key")
        if type(count) is not int or count < 0 or any(part is not None for part in view):
            raise ValueError(f"storage {key[:20]} without a plain number of values")
        made = Storage(key, STORAGES[kind.name], count)
        self.storages[key] = count * item_bytes(made.code)
        return made

    def finish(self, tree: Any, storages: Storages) -> Any:
        """The tree with arrays in it."""
        for tensor in self.tensors:
            tensor.storages = storages
        return finished(tree)


def plain_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Strides, in values, of a tensor whose values lie in order."""
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))


def is_torch(data: bytes) -> bool:
    """Whether these first bytes are those of a PyTorch file."""
    return data.startswith((ZIP_MAGIC, LEGACY_MAGIC))


def read_torch(path: Path) -> Any:
    """What a PyTorch file holds: dicts, lists and tuples of arrays, numbers, text and None.

    Arrays may be read-only, and share values where the tensors did; bfloat16 becomes float32. The zip format carries
    check sums, which are checked; the older one has none. Raises `BadWeightsFile`.
    """
    with refusing(path, "PyTorch"), Path(path).open("rb") as file:
        if file.read(len(ZIP_MAGIC)) == ZIP_MAGIC:
            with zipfile.ZipFile(file) as archive:
                return zip_tree(archive, Path(path).stat().st_size)
        file.seek(0)
        return legacy_tree(file.read())


def zip_tree(archive: zipfile.ZipFile, file_bytes: int) -> Any:
    """The contents of a zip file: `<name>/data.pkl` and one member `<name>/data/<key>` per storage.

    PyTorch compresses nothing, so a compressed member is refused, as are members that claim more than the file holds.
    """
    members = archive.infolist()
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise ValueError("a compressed member, which PyTorch does not write")
    if sum(member.file_size for member in members) > file_bytes:
        raise ValueError("its members claim more bytes than the file has")
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
    """numpy's sign for an order of bytes that PyTorch names."""
    return {b"little": "<", b"big": ">"}[name]


def legacy_tree(data: bytes) -> Any:
    """The contents of the older format: five pickles (magic, version, machine, tree, keys), then the storages.

    Each storage is its number of values (8 bytes) and the values.
    """
    if not data.startswith(LEGACY_MAGIC):
        raise ValueError("it does not begin like a file of PyTorch")
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
            raise ValueError(f"storage {key[:20]} is not all there")
        raw[key] = data[position : position + size]
        position += size
    if position != len(data):
        raise ValueError(f"{len(data) - position} bytes behind its end")
    return pickle.finish(tree, Storages(raw.__getitem__, order))
