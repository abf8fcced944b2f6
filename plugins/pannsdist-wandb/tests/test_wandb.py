"""What W&B keeps of a run off-line, read back from its own file; and what stands there after a run went on."""

import json

import psutil
import pytest
from pannsdist_wandb import WandbParams, WeightsAndBiases
from wandb_file import history, records

from pannsdist.devkit import conformance
from pannsdist.devkit.fake_run import reports, send_reports, steps, tracked_run
from pannsdist.runtime.errors import SettingsError, UserError
from pannsdist.settings import SettingsOrigin, fill_params

SECRET = "5" * 40


@pytest.fixture(autouse=True, scope="module")
def at_home(tmp_path_factory):
    """What W&B writes of its own doings goes into a folder of the test, and nothing of it stays."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("CACHE", "CONFIG", "DATA"):
            patch.setenv(f"WANDB_{name}_DIR", str(home))
        patch.setenv("WANDB_API_KEY", SECRET)
        patch.setenv("WANDB_ERROR_REPORTING", "false")
        yield


test_wandb_keeps_the_contract = conformance(WeightsAndBiases)


def told(folder, after_step=0, epochs=2, close=True, **params):
    tracker = WeightsAndBiases(WandbParams(**params)).open(tracked_run(folder, after_step))
    send_reports(tracker, reports(after_step, epochs))
    if close:
        tracker.close()
    return tracker


def curve(folder, tag):
    return [(step, values[tag]) for step, values in history(folder) if tag in values]


def test_curves_are_read_back(tmp_path):
    told(tmp_path)
    assert curve(tmp_path, "train/loss") == [(2, 1 / 2), (4, 1 / 4), (6, pytest.approx(1 / 6)), (8, 1 / 8)]
    assert curve(tmp_path, "valid/accuracy") == [(4, 0.125), (8, 0.25)]


def test_the_run_says_what_the_settings_say(tmp_path):
    told(tmp_path, epochs=1, project="birds", entity="us", tags=["first", "small"])
    (run,) = (record.run for record in records(tmp_path) if record.WhichOneof("record_type") == "run")
    assert (run.project, run.entity, run.display_name, list(run.tags)) == (
        "birds",
        "us",
        "fake run",
        ["first", "small"],
    )
    config = {item.key: json.loads(item.value_json) for item in run.config.update}
    assert config["model"] == "small"
    assert config["learning_rate"] == 0.5


def test_pictures_sounds_and_histograms_are_there(tmp_path):
    told(tmp_path, epochs=1)
    ((_, row),) = [item for item in history(tmp_path) if item[0] == 4]
    kinds = {name.rpartition("/")[0]: value for name, value in row.items() if name.endswith("/_type")}
    assert kinds["valid/confusion_matrix"] == kinds["valid/worst_1_picture"] == "image-file"
    assert (kinds["valid/worst_1"], kinds["weights/fc.weight"]) == ("audio-file", "histogram")
    (folder,) = (tmp_path / "wandb").glob("offline-run-*")
    for tag in ("valid/confusion_matrix", "valid/worst_1_picture", "valid/worst_1"):
        assert (folder / "files" / row[f"{tag}/path"]).stat().st_size > 1000
    assert row["valid/worst_1/caption"].startswith("clip")


def test_a_run_that_is_killed_and_goes_on_is_one_run_in_which_no_step_is_twice(tmp_path):
    told(tmp_path / "straight", epochs=3)
    tracker = told(tmp_path / "killed", epochs=1, close=False)
    for step in (6, 8):
        tracker.steps(steps(step))
    tracker._wandb.finish(exit_code=1)  # W&B's file has more than the checkpoint, as that of a run that was killed may
    told(tmp_path / "killed", after_step=4, epochs=2)
    told(tmp_path / "killed", after_step=8, epochs=3)
    one, other = (
        [(step, sorted(values)) for step, values in history(tmp_path / name)] for name in ("killed", "straight")
    )
    assert one == other
    assert [step for step, _ in one] == [2, 4, 6, 8, 10, 12]
    assert curve(tmp_path / "killed", "train/loss") == curve(tmp_path / "straight", "train/loss")
    tracker.close()


def test_starts_that_follow_one_another_at_once_lose_nothing(tmp_path):
    for epochs in range(1, 5):
        told(tmp_path, after_step=4 * (epochs - 1), epochs=epochs)
    assert [step for step, _ in curve(tmp_path, "train/loss")] == list(range(2, 17, 2))


def test_a_run_keeps_its_id_and_another_has_another(tmp_path):
    for name in ("one", "other"):
        told(tmp_path / name, epochs=1)
    told(tmp_path / "one", after_step=4, epochs=2)
    ids = [
        record.run.run_id
        for name in ("one", "other")
        for record in records(tmp_path / name)
        if record.WhichOneof("record_type") == "run"
    ]
    assert len(set(ids)) == 2
    assert (tmp_path / "one" / "wandb" / "kept" / "run_id").read_text() == ids[0]


def test_no_key_and_nothing_of_the_machine_is_in_the_folder_and_no_process_is_left(tmp_path):
    told(tmp_path, epochs=1)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []
    assert not [path for path in files if path.name in ("wandb-metadata.json", "requirements.txt", "output.log")]
    assert [each for each in psutil.Process().children() if "wandb" in " ".join(each.cmdline())] == []


def test_a_key_is_no_setting():
    with pytest.raises(SettingsError, match=r"unknown key trackers\.wandb\.api_key"):
        fill_params(WandbParams, {"api_key": SECRET}, SettingsOrigin(), "trackers.wandb")


def test_what_w_and_b_refuses_is_said_before_the_first_step(tmp_path):
    with pytest.raises(UserError, match=r"W&B cannot start the run: .*project"):
        WeightsAndBiases(WandbParams(project="birds/of/prey")).open(tracked_run(tmp_path))
