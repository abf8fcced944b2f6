"""A run on a packed dataset has the bits of one on the loose files: with one process and two, and after a stop."""

import json

import calling
import launching
import numpy as np
import pytest
import soundfile
from fake_model import RATE_HZ

from pannsdist.run.data_record import DATA_FILE
from pannsdist.training.checkpoint import CheckpointStore

SETTINGS = """\
name: NAME
model: {name: tiny}
data: {name: manifest, workers: 0, params: {path: list.csv, folds: 3, valid_fold: 2, group: "(*)_*"}}
train: {epochs: 2, batch_size: 4, crop_s: 0.1}
mixup: {alpha: 1.0, pairs: free}
augment: {gain: {}}
valid: {batch_size: 2}
optimizer: {learning_rate: 0.01}
schedule: {name: constant, warmup_epochs: 0}
trackers: {visualdl: null}
"""
PACKED = ("data.name=shards", "data.params={root: packed, valid_fold: 2}")
IN_EPOCH_2 = "train.max_steps=6"


def dataset(work):
    """Twenty-four sounds of which crops are drawn, in three folds; and the same packed into several shards."""
    lines = ["path,label,start,duration"]
    generator = np.random.default_rng(3)
    for number in range(24):
        label = ("high", "low")[number % 2]
        time_s = np.arange(RATE_HZ // 2) / RATE_HZ
        tone = 0.3 * np.sin(2 * np.pi * {"high": 2500, "low": 400}[label] * time_s)
        name = f"{number // 2}_{number}.{('wav', 'ogg', 'flac')[number % 3]}"
        soundfile.write(work / name, tone + generator.uniform(-0.1, 0.1, len(tone)), RATE_HZ)
        lines.append(f"{name},{label},{0.1 if number % 5 == 0 else 0},{0.3 if number % 5 == 0 else ''}")
    (work / "list.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (work / "settings.yaml").write_text(SETTINGS, encoding="utf-8")
    arguments = ("data", "pack", "-c", "settings.yaml", "-o", "packed", "--size", "40KB", "--workers", "0")
    assert (packed := calling.pannsdist(*arguments, cwd=work)).exit_code == 0, str(packed)


def outcome(work, name):
    """What a run computed: its scores, the checksum of its data, and the weights and the optimizer of its end."""
    folder = work / "runs" / name
    lines = [json.loads(line) for line in (folder / "scores.jsonl").read_text(encoding="utf-8").splitlines()]
    scores = [{key: value for key, value in line.items() if "/" in key} for line in lines]
    snapshot = CheckpointStore(folder / "checkpoints", keep=1).load_latest().snapshot
    return scores, (folder / DATA_FILE).read_bytes(), snapshot


def assert_bit_equal(one, other):
    assert one[0] == other[0]
    assert len(one[0]) == 2
    assert one[1] == other[1]
    for mine, theirs in ((one[2].model, other[2].model), (one[2].optimizer, other[2].optimizer)):
        assert mine.keys() == theirs.keys()
        assert all(np.array_equal(value, theirs[key]) for key, value in mine.items())


@pytest.fixture(scope="module")
def loose(tmp_path_factory, env):
    """A working folder with both forms of the dataset, and a run on the loose files."""
    work = tmp_path_factory.mktemp("packed")
    dataset(work)
    done = calling.train(work / "settings.yaml", "name=loose", cwd=work, env=env)
    assert done.exit_code == 0, str(done)
    return work


def test_losses_scores_and_weights_are_equal_to_the_last_bit(loose, env):
    done = calling.train(loose / "settings.yaml", "name=packed", *PACKED, "data.workers=1", cwd=loose, env=env)
    assert done.exit_code == 0, str(done)
    assert_bit_equal(outcome(loose, "loose"), outcome(loose, "packed"))


def test_a_run_that_stopped_in_the_middle_of_an_epoch_goes_on_to_the_same_bits(loose, env):
    settings = ("name=stopped", *PACKED)
    stopped = calling.train(loose / "settings.yaml", *settings, IN_EPOCH_2, cwd=loose, env=env)
    assert stopped.exit_code == 0, str(stopped)
    snapshot = CheckpointStore(loose / "runs" / "stopped" / "checkpoints", keep=1).load_latest().snapshot
    assert snapshot.progress.step == 6, "of eight, four in each epoch"
    assert (loose / "packed").rename(loose / "moved")
    lost = calling.train(loose / "settings.yaml", *settings, cwd=loose, env=env)
    assert (lost.exit_code, "packed does not exist" in lost.output) == (2, True)
    (loose / "moved").rename(loose / "packed")
    again = calling.train(loose / "settings.yaml", *settings, cwd=loose, env=env)
    assert again.exit_code == 0, str(again)
    assert_bit_equal(outcome(loose, "loose"), outcome(loose, "stopped"))


def test_a_damaged_shard_ends_a_run_also_where_bad_clips_are_skipped(loose, env, tmp_path):
    env = {**env, "PANNSDIST_HOME": str(tmp_path)}  # no cache has its sounds
    shard = max((loose / "packed").glob("*.tar"))
    raw = shard.read_bytes()
    shard.write_bytes(raw[:600] + bytes([raw[600] ^ 1]) + raw[601:])
    settings = ("name=damaged", *PACKED, "data.on_bad_clip=skip")
    done = calling.train(loose / "settings.yaml", *settings, cwd=loose, env=env)
    shard.write_bytes(raw)
    assert done.exit_code == 2, str(done)
    assert "the shard is not as its manifest says" in done.output
    assert "Traceback" not in done.output
    again = calling.train(loose / "settings.yaml", *settings, cwd=loose, env=env)
    assert again.exit_code == 0, str(again)


def of_two(*overrides):
    """The command of a run of two processes."""

    def planned(work, _):
        dataset(work)
        return launching.training(work / "settings.yaml", *overrides, "name=two", "data.workers=1", cwd=work)

    return planned


IN_TURN = {"loose": of_two(), "packed": of_two(*PACKED)}


def test_runs_of_two_processes_are_equal_to_the_last_bit(together):
    for name in IN_TURN:
        assert together[name].launched.exit_code == 0, str(together[name].launched)
    assert_bit_equal(*(outcome(together[name].work, "two") for name in IN_TURN))
