"""Rank 1 stops in an evaluation, or waits for a file system in a step. Arguments: `evaluation` or `step`, seconds."""

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import paddle

from pannsdist.contracts.batch import Batch
from pannsdist.contracts.network import Network
from pannsdist.distributed import fleet
from pannsdist.runtime import console
from pannsdist.training.clock import Clock
from pannsdist.training.evaluator import Evaluator, SplitToEvaluate
from pannsdist.training.step_sync import StepRequest, sync_step

PIPE = Path("nobody writes into it")


def batches(rank, hang):
    for number in range(4):
        if rank == 1 and number == 2:
            hang()
        yield Batch((f"{rank}/{number}",), np.ones((1, 4), np.float32), np.zeros(1, np.int64))


def stopped_by_a_signal():
    time.sleep(1.0)  # several beats, with which the others learn what it does
    os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(2.0)  # else the main thread, once continued, may be elsewhere before its stack is written


def blocked_by_a_file():
    os.mkfifo(PIPE)
    PIPE.read_bytes()


def main(where, limit_s):
    console.quiet_paddle()
    console.delay_sigterm()  # as train.py does
    world = fleet.connect(options=fleet.WorldOptions(hang_timeout_s=limit_s))
    network = Network(paddle.nn.Identity(), paddle.nn.Linear(4, 2))
    try:
        if where == "evaluation":
            evaluator = Evaluator(world, network, ("high", "low"), False)
            ids = [f"{rank}/{number}" for rank in range(2) for number in range(4)]
            split = SplitToEvaluate("valid", ids, lambda: batches(world.rank, stopped_by_a_signal))
            evaluator.evaluate(split)
        for step, data in enumerate([batches(world.rank, blocked_by_a_file)] * 4, start=1):
            world.mark(f"reading the batch of step {step}")
            sync_step(world, data, Clock(4, 4), StepRequest(stop=False))
    finally:
        world.close()


if __name__ == "__main__":
    sys.exit(console.exit_code(lambda: main(sys.argv[1], float(sys.argv[2]))))
