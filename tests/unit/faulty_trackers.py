"""A tracker with one fault, by a param; without a fault it keeps the contract."""

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
    """`fault` is what is wrong."""

    fault: str = ""


class FaultyTracker:
    """Lines of JSON."""

    Params = FaultyParams
    look = "cat {folder}/lines.jsonl"

    def __init__(self, params):
        self.fault = params.fault
        if self.fault == "look":
            self.look = None

    def open(self, run):
        if self.fault == "missing":
            raise UserError("nothing to write with is installed", "install it")
        if self.fault == "open":
            raise ZeroDivisionError("division by zero")
        return Told(self.fault, run)


class Told:
    def __init__(self, fault, run):
        self.fault, self.run = fault, run
        self.lines = StepLines(run.folder / "lines.jsonl", sys.maxsize if fault == "twice" else run.from_step)
        if fault == "elsewhere":
            Path("lines.jsonl").write_text("")
        if fault == "asks":
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
                line.connect(("192.0.2.1", 9))  # a datagram's: nothing is sent
        if fault == "thread":
            threading.Thread(target=time.sleep, args=(60,), name="left behind", daemon=True).start()
        if fault == "process":
            subprocess.Popen([sys.executable, "-c", "import time; time.sleep(5)"])
        if fault == "signal":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if fault == "random":
            random.random()

    def steps(self, report):
        if self.fault == "steps" and report.step > 2:
            raise OSError("the server is gone")
        self._write(report, step_points(report))

    def epoch(self, report):
        if self.fault == "needs predictions":
            len(report.predictions.ids)
        if self.fault == "not finite":
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
        if self.fault == "twice":
            with (self.run.folder / "lines.jsonl").open("a") as file:
                file.write(json.dumps({"step": report.step, **values}) + "\n")
        else:
            self.lines.add(report.step, values)
