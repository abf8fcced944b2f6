"""A tracker with the faults that a param names; without a fault it keeps the contract."""

from __future__ import annotations

import json
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from pannsdist.contracts import UserError
from pannsdist.contracts.lines import StepLines
from pannsdist.contracts.reporting import AudioExcerpt, epoch_points, epoch_summaries, step_points


@dataclass(frozen=True)
class FaultyParams:
    """`fault` is what is wrong; several are joined by `+`."""

    fault: str = ""


class FaultyTracker:
    """Lines of JSON."""

    Params = FaultyParams
    look = "cat {folder}/lines.jsonl"

    def __init__(self, params):
        self.faults = params.fault.split("+")
        if "look" in self.faults:
            self.look = None

    def open(self, run):
        if "missing" in self.faults:
            raise UserError("nothing to write with is installed", "install it")
        if "open" in self.faults:
            raise ZeroDivisionError("division by zero")
        return Told(self.faults, run)


class Told:
    def __init__(self, faults, run):
        self.faults, self.run = faults, run
        self.lines = StepLines(run.folder / "lines.jsonl", sys.maxsize if "twice" in faults else run.from_step)
        if "elsewhere" in faults:
            Path("lines.jsonl").write_text("")
        if "asks" in faults:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
                line.connect(("192.0.2.1", 9))  # a datagram's: nothing is sent
        if "thread" in faults:
            threading.Thread(target=time.sleep, args=(60,), name="left behind", daemon=True).start()
        if "process" in faults:
            subprocess.Popen([sys.executable, "-c", "import time; time.sleep(5)"])
        if "signal" in faults:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if "random" in faults:
            random.random()

    def steps(self, report):
        if "steps" in self.faults and report.step > 2:
            raise OSError("the server is gone")
        self._write(report, step_points(report))

    def epoch(self, report):
        if "needs predictions" in self.faults:
            len(report.predictions.ids)
        if "not finite" in self.faults:
            json.dumps(dict(report.scores), allow_nan=False)
        self._write(report, epoch_points(report))
        for item in epoch_summaries(self.run, report):
            if isinstance(item, AudioExcerpt):
                self._write(report, {item.tag: item.description})

    def flush(self):
        self.lines.flush()

    def close(self):
        self.lines.close()

    def _write(self, report, values):
        if "twice" in self.faults:
            with (self.run.folder / "lines.jsonl").open("a") as file:
                file.write(json.dumps({"step": report.step, **values}) + "\n")
        else:
            self.lines.add(report.step, values)
