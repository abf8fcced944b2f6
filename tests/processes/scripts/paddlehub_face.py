"""hub.Trainer on a tiny network; each rank writes its weights and what it saw. Arguments: name, batch size, sessions.

`sessions` are numbers of epochs, each for a Trainer of its own. The name `unaveraged` is for one process that reads
what the first of two would, and has nobody to average with.
"""

import json
import sys
from pathlib import Path

import hub_parts
import numpy as np

from pannsdist import hub

import paddle  # isort: skip

from pannsdist.audio.batches import Shard

KEPT = []
"""Wrapped layers: Paddle 3.3.1 may crash where one is dropped before the next is made."""


class Unaveraged(hub.Trainer):
    """Reads the first of two shards."""

    _shard = Shard(0, 2)


def session(name, batch_size, epochs):
    rank = int(np.random.default_rng().integers(1000)) if name == "default" else 0
    paddle.seed(1 + rank)
    model = hub.Module(name="plain", task="sound-cls", num_class=3)
    optimizer = paddle.optimizer.SGD(learning_rate=0.3, parameters=model.parameters())
    is_alone = name == "unaveraged"
    kind = Unaveraged if is_alone else hub.Trainer
    trainer = kind(model, optimizer, use_gpu=True, checkpoint_dir=None if name == "default" else name)
    KEPT.append(trainer)
    evaluated = None if is_alone else hub_parts.Features(7)
    trainer.train(hub_parts.Features(10), epochs=epochs, batch_size=batch_size, eval_dataset=evaluated, log_interval=1)
    return trainer, {} if is_alone else trainer.evaluate(evaluated, batch_size=2)


def main(name, batch_size, *sessions):
    for epochs in sessions:
        trainer, result = session(name, int(batch_size), int(epochs))
    here = f"{name}.{trainer.local_rank}of{trainer.nranks}"
    np.savez(f"{here}.npz", **{key: tensor.numpy() for key, tensor in trainer.model.state_dict().items()})
    seen = {"folder": str(trainer.checkpoint_dir), "epochs": trainer.current_epoch, **result}
    Path(f"{here}.json").write_text(json.dumps(seen), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
