"""Writers of weight files that need no PyTorch, and where the shared files are."""

import io
import os
import struct
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Paddle 3.3.1 warns about a missing ccache when imported
    import paddle  # noqa: F401

SHARED = Path(__file__).resolve().parents[4] / "shared"
LEGACY_MAGIC = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
KINDS = {"f4": "Float", "f8": "Double", "f2": "Half", "i8": "Long", "i4": "Int", "u1": "Byte", "b1": "Bool"}


@dataclass
class Raw:
    """Pickle instructions as they are."""

    code: bytes


@dataclass
class View:
    """A tensor said in PyTorch's own words: a view of a storage of raw bytes."""

    key: str
    kind: str
    raw: bytes
    count: int
    shape: tuple
    strides: tuple
    offset: int = 0


@dataclass
class TorchWriter:
    """Writes what `torch.save` writes, as protocol 2, on a machine of the byte order `order`."""

    order: str = "<"
    storages: dict = field(default_factory=dict)
    View: ClassVar = View
    Raw: ClassVar = Raw

    def view_of(self, array):
        strides = tuple(step // array.itemsize for step in np.empty(array.shape, array.dtype).strides)
        code = array.dtype.str[1:]
        raw = np.ascontiguousarray(array).astype(self.order + code).tobytes()
        return View(str(len(self.storages)), KINDS[code], raw, array.size, array.shape, strides)

    def code(self, value):  # noqa: PLR0911 one return per type
        if isinstance(value, Raw):
            return value.code
        if isinstance(value, np.ndarray):
            return self.code(self.view_of(value))
        if isinstance(value, View):
            self.storages[value.key] = (value.raw, value.count)
            kind = Raw(f"ctorch\n{value.kind}Storage\n".encode())
            storage = Raw(self.code(("storage", kind, value.key, "cpu", value.count)) + b"Q")
            arguments = (
                storage,
                value.offset,
                value.shape,
                value.strides,
                False,
                Raw(b"ccollections\nOrderedDict\n)R"),
            )
            return b"ctorch._utils\n_rebuild_tensor_v2\n" + self.code(arguments) + b"R"
        if isinstance(value, bool):
            return b"\x88" if value else b"\x89"
        if isinstance(value, int):
            raw = value.to_bytes(16, "little", signed=True)
            return b"\x8a" + bytes([len(raw)]) + raw
        if isinstance(value, str):
            return b"X" + struct.pack("<I", len(value.encode())) + value.encode()
        if isinstance(value, tuple):
            return b"(" + b"".join(map(self.code, value)) + b"t"
        if isinstance(value, list):
            return b"](" + b"".join(map(self.code, value)) + b"e"
        return b"}(" + b"".join(self.code(key) + self.code(item) for key, item in value.items()) + b"u"

    def pickle(self, value):
        return b"\x80\x02" + self.code(value) + b"."

    def zip(self, tree, compression=zipfile.ZIP_STORED):
        name = {"<": b"little", ">": b"big"}[self.order]
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w", compression) as archive:
            archive.writestr("archive/data.pkl", self.pickle(tree))
            archive.writestr("archive/byteorder", name)
            for key, (raw, _) in self.storages.items():
                archive.writestr(f"archive/data/{key}", raw)
            archive.writestr("archive/version", b"3\n")
        return made.getvalue()

    def legacy(self, tree):
        parts = [LEGACY_MAGIC, self.pickle(1001)]
        parts.append(self.pickle({"protocol_version": 1001, "little_endian": self.order == "<"}))
        parts += [self.pickle(tree), self.pickle(list(self.storages))]
        parts += [struct.pack(self.order + "q", count) + raw for raw, count in self.storages.values()]
        return b"".join(parts)


class Evil:
    """Runs a shell command when a careless reader unpickles it."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple:
        return os.system, (f"touch {self.marker}",)


def damaged(data: bytes, flips: int, cuts: int, seed: int = 0):
    """Copies of `data`: cut off at `cuts` places, and with one byte changed at `flips` random ones."""
    random = np.random.default_rng(seed)
    for end in np.linspace(0, len(data) - 1, cuts).astype(int):
        yield data[:end]
    for position, change in zip(
        random.integers(len(data), size=flips), random.integers(1, 256, size=flips), strict=True
    ):
        yield data[:position] + bytes([data[position] ^ int(change)]) + data[position + 1 :]


@pytest.fixture
def torch_writer() -> type[TorchWriter]:
    return TorchWriter


@pytest.fixture
def evil(tmp_path) -> Evil:
    return Evil(tmp_path / "ran")


@pytest.fixture
def damage() -> Callable:
    return damaged


@pytest.fixture
def write(tmp_path) -> Callable[[bytes], Path]:
    """Put bytes into a file whose name says nothing."""

    def put(data: bytes, name: str = "weights.bin") -> Path:
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return put


@pytest.fixture
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip("the folder `shared` with real weight files is not beside the repository")
    return SHARED
