"""A PaddleHub-compatible fine-tuning API on top of this package's trainer: `from pannsdist import hub`.

Signatures, defaults and results follow PaddleHub 2.x (audio classification). Differences: docs/en/paddlehub.md.
"""

from pannsdist.runtime import console, cpu

cpu.use_fast_kernels()  # takes effect only before paddle is imported
console.quiet_paddle()

from pannsdist.hub import datasets, env  # noqa: E402
from pannsdist.hub.module import Module  # noqa: E402
from pannsdist.hub.trainer import Trainer  # noqa: E402

__all__ = ["Module", "Trainer", "datasets", "env"]
