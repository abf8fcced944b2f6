"""Feature plugin of `start.py`: the feature of a model, in a process that ends when it receives the first batch."""

from __future__ import annotations

import json
import os
import resource
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pannsdist.contracts import param

FILE = "FIRST_BATCH_FILE"
"""Environment variable: the file that the time of the first batch is written to; each rank adds its number."""


@dataclass(frozen=True)
class FirstBatchParams:
    """The feature, by the name of its plugin."""

    of: str = param(doc="feature plugin with its default params")


class FirstBatch:
    """Another feature, until the first batch."""

    Params = FirstBatchParams

    def __init__(self, params: FirstBatchParams) -> None:
        from pannsdist.registry import Catalog

        plugin = Catalog.installed().features.find(params.of).load()
        self._feature = plugin(plugin.Params())
        self.front_end = self._feature.front_end

    def build(self) -> Any:
        """The layer of the feature, which notes that it is called, and ends the process."""
        layer = self._feature.build()
        layer.register_forward_pre_hook(lambda *_: end())
        return layer


def end() -> None:
    """Write the time of day and the processor seconds of this process, and end it at once."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    note = {"time": time.time(), "cpu": used.ru_utime + used.ru_stime}
    file = Path(f"{os.environ[FILE]}.{os.environ.get('PADDLE_TRAINER_ID', '0')}")
    file.write_text(json.dumps(note), encoding="utf-8")
    os._exit(0)
