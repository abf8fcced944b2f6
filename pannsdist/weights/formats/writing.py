"""Writers of weight files that PyTorch, Paddle and safetensors read; none of the three is needed for it."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

import numpy as np

from pannsdist.runtime.errors import BadWeightsFile
from pannsdist.runtime.storage import sync
from pannsdist.weights.formats import opcodes as op
from pannsdist.weights.formats.arrays import Array
from pannsdist.weights.formats.safetensors import TYPES
from pannsdist.weights.formats.torch import STORAGES, plain_strides

ALIGNMENT_BYTES = 64
"""Where PyTorch begins the values of a storage, so that a file can be mapped into memory."""
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
    """A tensor that has a storage to itself, as `torch._utils._rebuild_tensor_v2` wants it."""
    storage_type = op.named(*storage_name.split("."))
    storage = op.row(op.text("storage"), storage_type, op.text(key), op.text("cpu"), op.number(value.size))
    shape, strides = op.numbers(value.shape), op.numbers(plain_strides(value.shape))
    no_hooks = op.named("collections", "OrderedDict") + op.NO_ARGUMENTS + b"R"
    rebuild = op.named("torch._utils", "_rebuild_tensor_v2")
    return op.call(rebuild, storage + op.PERSISTENT, op.number(0), shape, strides, op.FALSE, no_hooks)


def put(archive: zipfile.ZipFile, name: str, raw: bytes) -> None:
    """One member under PyTorch's folder, its bytes aligned by an extra field, and without a date."""
    member = zipfile.ZipInfo(f"archive/{name}")
    header_end = archive.start_dir + 30 + len(member.filename) + 4
    padding = -header_end % ALIGNMENT_BYTES
    member.extra = b"FB" + padding.to_bytes(2, "little") + b"Z" * padding
    archive.writestr(member, raw)


def write_paddle(file: IO[bytes], state: State) -> None:
    """What `paddle.save` makes of a state dict: a pickle of numpy arrays, and each parameter's name beside them."""
    items = [(op.text(key), paddle_array(value)) for key, value in state.items()]
    names = op.mapping([(op.text(key), op.text(key)) for key in state])
    items.append((op.text("StructuredToParameterName@@"), names))
    file.write(op.PROTO_4 + op.mapping(items) + op.STOP)


def paddle_array(value: Array) -> bytes:
    """A numpy array as numpy pickles it, under the module name that numpy 1 and 2 both know."""
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
    """A JSON header, padded to 8 bytes, and the values one after the other; says that axes and names are PyTorch's."""
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
    """numpy's type code without the order of bytes, such as `f4`."""
    return f"{value.dtype.kind}{value.dtype.itemsize}"


def little_endian(value: Array) -> bytes:
    """The values in order, in the byte order of all these formats."""
    return value.astype(value.dtype.newbyteorder("<"), copy=False).tobytes()


WRITERS: dict[str, Callable[[IO[bytes], State], None]] = {
    ".pth": write_torch,
    ".pt": write_torch,
    ".pdparams": write_paddle,
    ".safetensors": write_safetensors,
}


def write_weights(path: Path, state: State) -> None:
    """Weights into a new file of the format that its ending names, whole or not at all.

    Raises `BadWeightsFile` for another ending, and where a file is there already.
    """
    if path.suffix not in WRITERS:
        raise BadWeightsFile(f"no format is known by the ending of {path}", f"known: {', '.join(WRITERS)}")
    if path.exists():
        raise BadWeightsFile(f"{path} is there already", "remove it, or choose another name")
    aside = path.with_name(f".{path.name}.writing")
    try:
        with aside.open("wb") as file:
            WRITERS[path.suffix](file, {key: np.asarray(value) for key, value in state.items()})
        sync(aside)
        aside.replace(path)
    except KeyError as error:
        raise BadWeightsFile(f"{path.suffix} has no numbers of type {error}", "choose another format") from error
    except OSError as error:
        raise BadWeightsFile(f"{path} cannot be written: {error.strerror}", "choose another place") from error
    finally:
        aside.unlink(missing_ok=True)
