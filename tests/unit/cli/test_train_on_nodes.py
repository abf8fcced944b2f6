"""`pannsdist train --nodes`: what a node refuses before it connects, and its dry run."""

import calling
import pytest

TINY = (
    "data.params.clips_per_class=4",
    "data.params.valid_clips_per_class=2",
    "data.params.classes=3",
    "train.crop_s=0.5",
    "train.batch_size=6",
    "data.workers=0",
)
WHERE = ("--nodes", "2:3", "--master", "192.0.2.1:29400", "--nproc", 1)


def train(cwd, *arguments):
    return calling.pannsdist("train", "-c", "recipe:tones_cnn6", *arguments, *TINY, cwd=cwd)


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        (("--nodes", "2"), "--nodes is given without --master HOST:PORT"),
        (("--master", "192.0.2.1:29400"), "--master is given without --nodes N"),
        (("--nodes", "3:2", "--master", "192.0.2.1:29400"), "--nodes is '3:2'"),
        (("--nodes", "2", "--master", "etcd://192.0.2.1:2379"), "without etcd"),
        (("--nodes", "2", "--master", "localhost:29400"), "another machine on every node"),
        (("--nodes", "2", "--master", "gpu..cluster:29400"), "'gpu..cluster' is no name of a machine"),
        (("--nodes", "2", "--master", "10.0.0.300:29400"), "'10.0.0.300' is no address of IPv4"),
        ((*WHERE, "--hosts", "gpu1,gpu1"), "--hosts names gpu1 twice"),
        ((*WHERE, "train.epochs=0"), "train.epochs"),
        ((*WHERE, "--hosts", "gpu1,gpu2"), "--hosts names 2 nodes, but --nodes is 2:3"),
        (("--nodes", "2:4", *WHERE[2:]), "every number of nodes in 2:4 must divide it"),
    ],
)
def test_a_mistake_is_found_before_the_nodes_connect(tmp_path, arguments, wrong):
    refused = train(tmp_path, *arguments)
    assert refused.exit_code == 2
    assert wrong in refused.output
    assert "Traceback" not in refused.output
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_prints_the_plan_of_all_nodes_and_connects_to_nobody(tmp_path):
    planned = train(tmp_path, *WHERE, "--dry-run")
    assert planned.exit_code == 0, planned.output
    assert "batch      6 = 3 x 2" in planned.output
