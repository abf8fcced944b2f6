"""The number of nodes, and the batches that they divide."""

import pytest

from pannsdist.run.nodes.sizes import parse_nodes, refuse_uneven_batch
from pannsdist.runtime.errors import SettingsError
from pannsdist.settings.schema import TrainSettings


@pytest.mark.parametrize(("text", "nodes"), [("1", (1, 1)), ("3", (3, 3)), ("2:3", (2, 3)), ("1:1024", (1, 1024))])
def test_a_number_or_a_range(text, nodes):
    assert parse_nodes(text) == nodes


@pytest.mark.parametrize("text", ["", "0", "0:2", "3:2", "-1", "2:", ":3", "two", "2:3:4", "1:1025", "٣", "2 "])
def test_anything_else_is_refused(text):
    with pytest.raises(SettingsError, match="--nodes is"):
        parse_nodes(text)


@pytest.mark.parametrize(
    ("batch_size", "steps", "nodes", "nproc"),
    [(6, 1, (2, 3), 1), (12, 1, (2, 3), 2), (24, 2, (2, 3), 2), (8, 1, (1,), 8)],
)
def test_a_batch_that_every_number_of_nodes_divides(batch_size, steps, nodes, nproc):
    train = TrainSettings(batch_size=batch_size, accumulate_steps=steps)
    refuse_uneven_batch(train, range(nodes[0], nodes[-1] + 1), nproc)


@pytest.mark.parametrize(
    ("batch_size", "steps", "nodes", "nproc", "nearest"),
    [
        (16, 1, (2, 3), 1, "nearest: 12 or 18"),
        (16, 1, (2, 3), 2, "nearest: 12 or 24"),
        (4, 1, (2, 3), 1, "nearest: 6"),
        (30, 4, (2, 3), 1, "nearest: 24 or 48"),
        (32, 1, (3, 3), 2, "nearest: 30 or 36"),
    ],
)
def test_the_nearest_batch_sizes_are_named(batch_size, steps, nodes, nproc, nearest):
    train = TrainSettings(batch_size=batch_size, accumulate_steps=steps)
    with pytest.raises(SettingsError) as refused:
        refuse_uneven_batch(train, range(nodes[0], nodes[1] + 1), nproc)
    assert refused.value.right.endswith(nearest)
    assert f"train.batch_size is {batch_size}" in refused.value.wrong
