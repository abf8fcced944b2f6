"""A layer as a static graph in files, for any batch size and length."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import paddle

from pannsdist.inference.engines.output_layer import OutputLayer
from pannsdist.runtime.errors import UserError

INPUT = "waveform"
STEM = "model"

GraphFunction = Callable[[np.ndarray], np.ndarray]
"""A loaded graph: waveforms (B, S) float32 -> output (B, ...) float32."""


class CannotCompile(UserError):
    """A network that has no static graph, or whose static graph gives other outputs."""


def save_graph(layer: OutputLayer, folder: Path) -> Path:
    """Write the graph: `model.pdiparams` and the program (`.json`, before Paddle 3 `.pdmodel`), whose path is returned.

    Raises CannotCompile for a layer that Paddle cannot trace.
    """
    layer.eval()
    spec = [paddle.static.InputSpec([None, None], "float32", INPUT)]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            paddle.jit.save(layer, str(folder / STEM), input_spec=spec)
    except OSError as error:
        raise UserError(f"the graph cannot be written: {error}", "free some space, or use --engine dygraph") from error
    except Exception as error:  # whatever Paddle or a plugin's layer raises while it is traced
        kind = type(layer.network.model).__name__
        last = next((line.strip() for line in reversed(str(error).splitlines()) if line.strip()), "")
        wrong = f"the network {kind} cannot be compiled to a static graph: {type(error).__name__}: {last}"
        raise CannotCompile(wrong, "it works in dynamic mode", "use --engine dygraph") from error
    return next(path for ending in (".json", ".pdmodel") if (path := folder / f"{STEM}{ending}").is_file())
