"""An exported ONNX folder as a model repository of the Triton inference server.

The layout and the fields are those of Triton's documentation and of its schema, `model_config.proto`. The folder's name
is the model's name there, so the configuration has none, and the folder may be renamed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, ValueInfoProto

from pannsdist.inference.engines.export import ONNX_FILE, read_record, require_new, write_record
from pannsdist.runtime import storage

TYPES: dict[int, str] = {TensorProto.FLOAT: "TYPE_FP32", TensorProto.BOOL: "TYPE_BOOL"}
"""The types of the inputs and outputs of exported graphs."""
VERSION, CONFIG, LABELS = "1", "config.pbtxt", "labels.txt"
MAX_BATCH, DELAY_US = 8, 5000


def model_name(text: str) -> str:
    """A name of a folder and a part of an address: letters, digits, dots, dashes and underscores."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", text).strip("._-") or "model"


def write_repository(exported: Path, repository: Path, name: str) -> list[str]:
    """Write the folder of an ONNX export as the new folder `repository`; gives the names of the models in it.

    That of the frames of a network, if there is one, has `_frames` at its end. Raises UserError where the folder is
    there already.
    """
    require_new(repository)
    record = read_record(exported)
    frames = record.get("frames", {}).get("files", ())
    models = dict(zip((name, f"{name}_frames"), (*record["files"], *frames), strict=False))

    def fill(temporary: Path) -> None:
        for model, file in models.items():
            _write_model(exported / file, temporary / model, record["labels"])
        record["format"], record["files"] = "triton", [f"{VERSION}/{ONNX_FILE}"]
        if frames:
            record["frames"]["files"] = [f"../{name}_frames/{VERSION}/{ONNX_FILE}"]
        write_record(temporary / name, record)

    storage.write_folder_atomic(repository, fill)
    return list(models)


def _write_model(graph: Path, folder: Path, labels: Sequence[str]) -> None:
    storage.make_folder(folder)
    storage.make_folder(folder / VERSION)
    storage.write_file(folder / VERSION / ONNX_FILE, graph.read_bytes())
    storage.write_file(folder / CONFIG, "\n".join(_config(onnx.load(graph))) + "\n")
    storage.write_file(folder / LABELS, "".join(f"{label}\n" for label in labels))


def _config(model: Any) -> Iterator[str]:
    """The lines of `config.pbtxt`, from the graph itself. An open size is -1; the first axis is that of the batch."""
    yield 'platform: "onnxruntime_onnx"'
    yield f"max_batch_size: {MAX_BATCH}"
    for tensor in model.graph.input:
        yield from ("input [", "  {", *_tensor(tensor), "  }", "]")
    for place, tensor in enumerate(model.graph.output):
        named = [f'    label_filename: "{LABELS}"'] if place == 0 and len(_sizes(tensor)) == 1 else []
        yield from ("output [", "  {", *_tensor(tensor), *named, "  }", "]")
    yield f"dynamic_batching {{ max_queue_delay_microseconds: {DELAY_US} }}"
    yield "instance_group [ { count: 1 kind: KIND_CPU } ]"


def _tensor(tensor: ValueInfoProto) -> Iterator[str]:
    """Name, type and sizes without the batch; what has none is a vector of one for the server, and reshaped."""
    sizes = _sizes(tensor)
    yield f'    name: "{tensor.name}"'
    yield f"    data_type: {TYPES[tensor.type.tensor_type.elem_type]}"
    yield f"    dims: [ {', '.join(map(str, sizes or [1]))} ]"
    if not sizes:
        yield "    reshape: { shape: [ ] }"


def _sizes(tensor: ValueInfoProto) -> list[int]:
    """The sizes behind the batch; -1 for an open one."""
    return [size.dim_value if size.HasField("dim_value") else -1 for size in tensor.type.tensor_type.shape.dim[1:]]
