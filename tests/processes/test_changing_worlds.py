"""Two processes begin a run, one goes on, three finish it: the weights are those of a run that nothing stopped."""

import changing_worlds
import launching
import numpy as np
import pytest

from pannsdist.training.checkpoint import CheckpointStore

TOLERANCES = [("SGD", 1e-6), ("AdamW", 1e-5), ("frozen", 1e-6), ("events", 1e-5)]


@pytest.fixture(scope="module")
def runs(two, alone, place, env):
    """What came of each start, and the folder of both kinds of run."""
    commands = changing_worlds.part(place, 3)
    started = (two, alone, launching.in_turn(commands, place / "three", processes=3, env=env))
    return [{name: said[name] for name in commands} for said in started], place


def snapshot(place, kind, name):
    return CheckpointStore(place / kind / "runs" / name / "checkpoints", keep=1).load_latest().snapshot


@pytest.mark.parametrize(("name", "tolerance"), TOLERANCES)
def test_the_weights_are_those_of_an_undisturbed_run(runs, name, tolerance):
    starts, place = runs
    for said in starts:
        assert said[f"changing {name}"].exit_code == 0, str(said[f"changing {name}"])
    assert ["epoch 1/" in said[f"changing {name}"].output for said in starts] == [True, False, False]
    changed, undisturbed = (snapshot(place, kind, name) for kind in ("changing", "undisturbed"))
    assert changed.progress.step == undisturbed.progress.step == changing_worlds.STEPS
    for one, other in ((changed.model, undisturbed.model), (changed.optimizer, undisturbed.optimizer)):
        assert one.keys() == other.keys()
        for key, value in one.items():
            np.testing.assert_allclose(value, other[key], rtol=0, atol=tolerance, err_msg=key)
    heads = [{key: value for key, value in of.model.items() if "classifier" in key} for of in (changed, undisturbed)]
    assert any(not np.array_equal(heads[0][key], heads[1][key]) for key in heads[0]), "nothing was changed"
