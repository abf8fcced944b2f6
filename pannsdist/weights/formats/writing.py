"""Writers of weight files for PyTorch, Paddle and safetensors, without using these libraries."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

import numpy as np

from pannsdist.runtime.errors import BadWeightsFile
from pannsdist.runtime.outputs import require_file
from pannsdist.runtime.storage import stream_atomic
from pannsdist.weights.formats import opcodes as op
from pannsdist.weights.formats.arrays import Array
from pannsdist.weights.formats.safetensors import TYPES
from pannsdist.weights.formats.torch import STORAGES, contiguous_strides

ALIGNMENT_BYTES = 64
"""Alignment of storages in PyTorch files, for memory mapping."""
TORCH_NAMES = {code: name for name, code in STORAGES.items() if code != "bf2"}
SAFETENSORS_NAMES = {code: name for name, code in TYPES.items() if code != "bf2"}

State = Mapping[str, Array]


def write_torch(file: IO[bytes], state: State) -> None:
    """The zip format of `torch.save` since PyTorch 1.6: a pickle and one stored member per tensor."""
    codes = {key: TORCH_NAMES[code_of(value)] for key, value in state.items()}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        items = [
            (op.text(key), torch_tensor(str(i), codes[key], value)) for i, (key, value) in enumerate(state.items())
        ]
        put(archive, "data.pkl", op.PROTO_2 + op.mapping(items) + op.STOP)
        put(archive, "byteorder", b"little")
        for i, value in enumerate(state.values()):
            put(archive, f"data/{i}", little_endian(value))
        put(archive, "version", b"3\n")


def torch_tensor(key: str, storage_name: str, value: Array) -> bytes:
    """A tensor with its own storage, for `torch._utils._rebuild_tensor_v2`."""
    storage_type = op.named(*storage_name.split("."))
    storage = op.sequence(op.text("storage"), storage_type, op.text(key), op.text("cpu"), op.number(value.size))
    shape, strides = op.numbers(value.shape), op.numbers(contiguous_strides(value.shape))
    no_hooks = op.named("collections", "OrderedDict") + op.NO_ARGUMENTS + b"R"
    rebuild = op.named("torch._utils", "_rebuild_tensor_v2")
    return op.call(rebuild, storage + op.PERSISTENT, op.number(0), shape, strides, op.FALSE, no_hooks)


def put(archive: zipfile.ZipFile, name: str, raw: bytes) -> None:
    """Write one member below PyTorch's folder, aligned by an extra field, without a date."""
    member = zipfile.ZipInfo(f"archive/{name}")
    header_end = archive.start_dir + 30 + len(member.filename) + 4
    padding = -header_end % ALIGNMENT_BYTES
    member.extra = b"FB" + padding.to_bytes(2, "little") + b"Z" * padding
    archive.writestr(member, raw)


def write_paddle(file: IO[bytes], state: State) -> None:
    """The format of `paddle.save` for a state dict: a pickle of numpy arrays and a table of parameter names."""
    items = [(op.text(key), paddle_array(value)) for key, value in state.items()]
    names = op.mapping([(op.text(key), op.text(key)) for key in state])
    items.append((op.text("StructuredToParameterName@@"), names))
    file.write(op.PROTO_4 + op.mapping(items) + op.STOP)


def paddle_array(value: Array) -> bytes:
    """A pickled numpy array, under the module name that numpy 1 and 2 both support."""
    code = code_of(value)
    order = op.text("|" if value.itemsize == 1 else "<")
    unset = (op.NONE, op.NONE, op.NONE, op.number(-1), op.number(-1), op.number(0))
    kind = op.with_state(
        op.call(op.named("numpy", "dtype"), op.text(code), op.FALSE, op.TRUE), op.number(3), order, *unset
    )
    empty = op.call(
        op.named("numpy.core.multiarray", "_reconstruct"),
        op.named("numpy", "ndarray"),
        op.numbers((0,)),
        op.raw_bytes(b"b"),
    )
    shape, raw = op.numbers(value.shape), op.raw_bytes(little_endian(value))
    return op.with_state(empty, op.number(1), shape, kind, op.FALSE, raw)


def write_safetensors(file: IO[bytes], state: State) -> None:
    """A JSON header, padded to 8 bytes, then the values; the metadata state PyTorch's axes and names."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for key, value in state.items():
        begin, end = end, end + value.nbytes
        kind = SAFETENSORS_NAMES[code_of(value)]
        header[key] = {"dtype": kind, "shape": list(value.shape), "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode("utf-8")
    text += b" " * (-len(text) % 8)
    file.write(len(text).to_bytes(8, "little") + text)
    for value in state.values():
        file.write(little_endian(value))


def code_of(value: Array) -> str:
    """numpy's type code without byte order, such as `f4`."""
    return f"{value.dtype.kind}{value.dtype.itemsize}"


def little_endian(value: Array) -> bytes:
    """Values in C order as little-endian bytes."""
    return value.astype(value.dtype.newbyteorder("<"), copy=False).tobytes()


WRITERS: dict[str, Callable[[IO[bytes], State], None]] = {
    ".pth": write_torch,
    ".pt": write_torch,
    ".pdparams": write_paddle,
    ".safetensors": write_safetensors,
}


def refuse_target(path: Path) -> None:
    """Raise BadWeightsFile for an unknown suffix, or if the file exists; CannotWrite where it cannot be written."""
    if path.suffix not in WRITERS:
        raise BadWeightsFile(f"unknown format: {path}", f"supported suffixes: {', '.join(WRITERS)}")
    require_file(path, "weights")
    if path.exists():
        raise BadWeightsFile(f"{path} already exists", "remove it, or choose another name")


def write_weights(path: Path, state: State) -> None:
    """Write weights to a new file atomically, in the format of its suffix. Raises what `refuse_target` raises."""
    refuse_target(path)
    arrays = {key: np.asarray(value) for key, value in state.items()}
    try:
        stream_atomic(path, lambda file: WRITERS[path.suffix](file, arrays))
    except KeyError as error:
        raise BadWeightsFile(f"{path.suffix} does not support type {error}", "choose another format") from error
