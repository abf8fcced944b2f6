"""A layer as a static graph in files, for any batch size and length."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import paddle
from paddle import nn

from pannsdist.contracts.network import evaluation_mode
from pannsdist.inference.engines.frame_layer import FrameLayer
from pannsdist.inference.engines.output_layer import OutputLayer, SoundLayer
from pannsdist.runtime.errors import UserError

INPUT = "waveform"
STEM = "model"

GraphFunction = Callable[[np.ndarray], np.ndarray]
"""A loaded graph: waveforms (B, S) float32 -> output (B, ...) float32."""

GraphOutputs = Callable[[np.ndarray], list[np.ndarray]]
"""A loaded graph with several outputs: waveforms (B, S) float32 -> each of them (B, ...)."""


_traced_programs: list[paddle.static.Program] = []
"""The program that is being traced, and those whose tracing failed: kept as long as the process, some KB each.

Paddle 3.3 leaves the parameters of a failed trace in a table whose key is the address of the program. A later program
at that address would get them: foreign weights in its files, or a segmentation fault. A program that lives keeps its
address.
"""


class CannotCompile(UserError):
    """A network that has no static graph, or whose static graph gives other outputs."""


class _TracedLayer(nn.Layer):
    """A layer that notes the program that it is traced into."""

    def __init__(self, layer: OutputLayer | SoundLayer | FrameLayer) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, waveform: paddle.Tensor) -> paddle.Tensor | tuple[paddle.Tensor, ...]:
        """What the layer gives."""
        _keep_program()
        return self.layer(waveform)


def _keep_program() -> None:
    _traced_programs.append(paddle.static.default_main_program())


paddle.jit.not_to_static(_keep_program)


@contextmanager
def _own_forwards(layer: nn.Layer) -> Iterator[None]:
    """Give every layer its own `forward` back after the block, errors included.

    Paddle 2.6 replaces the `forward` of each sublayer by a converted one when it traces a layer, and leaves it there.
    Where its conversion was wrong, the layer would no longer work in dynamic mode either.
    """
    before = [(part, part.__dict__.get("forward")) for part in layer.sublayers(include_self=True)]
    try:
        yield
    finally:
        for part, forward in before:
            part.__dict__.pop("forward", None)
            if forward is not None:
                part.__dict__["forward"] = forward


def save_graph(layer: OutputLayer | SoundLayer | FrameLayer, folder: Path) -> Path:
    """Write the graph of a layer in evaluation mode; returns the path of the program.

    The files are `model.pdiparams` and the program, `model.json` (before Paddle 3 `model.pdmodel`).
    Raises CannotCompile for a layer that Paddle cannot trace.
    """
    traced = _TracedLayer(layer)
    spec = [paddle.static.InputSpec([None, None], "float32", INPUT)]
    try:
        with evaluation_mode(traced), _own_forwards(traced), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            paddle.jit.save(traced, str(folder / STEM), input_spec=spec)
        _traced_programs.pop()
    except OSError as error:
        raise UserError(f"the graph cannot be written: {error}", "free some space, or use --engine dygraph") from error
    except Exception as error:  # whatever Paddle or a plugin's layer raises while it is traced
        kind = type(layer.network.model).__name__
        last = next((line.strip() for line in reversed(str(error).splitlines()) if line.strip()), "")
        wrong = f"the network {kind} cannot be compiled to a static graph: {type(error).__name__}: {last}"
        raise CannotCompile(wrong, "it works in dynamic mode", "use --engine dygraph") from error
    return next(path for ending in (".json", ".pdmodel") if (path := folder / f"{STEM}{ending}").is_file())
