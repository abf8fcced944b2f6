"""Fast operators of a network on a CPU: those of the oneDNN library that Paddle's wheel carries.

Models are built of Paddle's ordinary layers. `choice` decides which kernels compute them, `replacing` is the only
module that changes a network, and `fixed` does so for inference, while a call runs. Paddle is imported when something
is installed, not before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pannsdist.kernels.choice import ONEDNN, Choice
from pannsdist.kernels.library import loaded
from pannsdist.runtime import cpu, launcher

if TYPE_CHECKING:
    from paddle import nn


def install(network: nn.Layer, choice: Choice) -> int:
    """Compute the layers of a network with the chosen kernels from now on; returns how many are replaced.

    Its classes, names, weights and hooks stay. Layers that the kernels do not know, or shapes that they refuse, are
    computed by Paddle. Every process must call this, before the network is wrapped or its stages are recomputed.
    """
    if choice.kernels != ONEDNN:
        return 0
    from pannsdist.kernels.replacing import replace

    library = loaded()
    library.threads = cpu.threads(launcher.size() // launcher.nodes())
    return replace(network, library, choice.operands)
