"""Which runs a series has, what is refused before the first starts, and what it remembers of them."""

import json
import threading

import pytest

from pannsdist import settings
from pannsdist.run.series.crossval import choose_folds, cross_validate
from pannsdist.run.series.execution import slot_environments
from pannsdist.run.series.runs import Request, plan_series
from pannsdist.run.series.sweep import folder_name, read_grid, split_values, sweep
from pannsdist.runtime.errors import BadDataset, BadRunFolder, SettingsError, UnknownPlugin

TEXT = """
name: few
model: {name: panns_cnn6}
data: {name: tones, params: {classes: 2, clips_per_class: 6, valid_clips_per_class: 2}}
train: {epochs: 3, batch_size: 4, crop_s: 0.5}
"""


@pytest.fixture
def request_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "few.yaml").write_text(TEXT)

    def made(*overrides, **rest):
        return Request(tmp_path / "few.yaml", overrides, "pannsdist ...", **rest)

    return made


def test_a_run_is_made_for_each_fold(request_for):
    assert choose_folds(request_for(), ()) == ("data.params.valid_fold", [1, 2, 3])
    assert choose_folds(request_for(), (3, 1)) == ("data.params.valid_fold", [1, 3])


def test_a_fold_that_is_not_there_is_refused_with_those_that_are(request_for):
    with pytest.raises(
        SettingsError, match=r"--folds has 4, which is not a fold of dataset tones\n  its folds: 1, 2, 3"
    ):
        choose_folds(request_for(), (1, 4))


def test_a_dataset_without_folds_is_refused_by_name(request_for):
    message = r"dataset gtzan \(pannsdist-gtzan .*\) has no folds to cross-validate over\n  .*data\.params\.folds=5"
    with pytest.raises(BadDataset, match=message):
        choose_folds(request_for("data.name=gtzan"), ())


def test_folders_have_the_folds_that_are_drawn_and_the_message_says_how(request_for):
    asked = ("data.name=folder", "data.params.root=sounds")
    assert choose_folds(request_for(*asked, "data.params.folds=4"), ()) == ("data.params.valid_fold", [1, 2, 3, 4])
    with pytest.raises(BadDataset, match=r"folder has 0 folds with these params\n.*\n.*data\.params\.folds=5"):
        choose_folds(request_for(*asked), ())


def test_a_manifest_has_the_folds_of_its_table_and_none_without_that_column(request_for, tmp_path):
    rows = [f"{number}.wav,{'ab'[number % 2]},{fold}" for number, fold in enumerate((3, 3, 1, 1, 7, 7))]
    (tmp_path / "clips.csv").write_text("\n".join(["path,label,fold", *rows]))
    asked = request_for("data.name=manifest", "data.params.path=clips.csv")
    assert choose_folds(asked, ()) == ("data.params.valid_fold", [1, 3, 7])
    (tmp_path / "clips.csv").write_text("\n".join(["path,label,split", "a.wav,a,train"]))
    with pytest.raises(BadDataset, match=r"dataset manifest has 0 folds with these params"):
        choose_folds(asked, ())


def test_a_fold_on_the_command_line_is_refused(request_for):
    with pytest.raises(SettingsError, match=r"'data.params.valid_fold=2' cannot be given.*\n.*--folds"):
        choose_folds(request_for("data.params.valid_fold=2"), ())


def test_a_dry_run_of_folds_prints_their_commands_and_writes_nothing(request_for, tmp_path, capsys):
    assert cross_validate(request_for("seed=5", processes=2, dry_run=True), (2, 3)) == 0
    said = capsys.readouterr().out
    assert "2 runs in runs/few; the first:\n  run        runs/few/fold_2\n" in said
    assert "fold_3  to do\n" in said
    assert "-m paddle.distributed.launch --log_level WARNING --nproc_per_node 2 --log_dir runs/few/fold_3/log" in said
    assert "seed=5 data.params.valid_fold=3 runs=runs/few name=fold_3\n" in said
    assert [path.name for path in tmp_path.iterdir()] == ["few.yaml"]


def test_the_override_that_names_the_folder_is_read_back_as_it_was(request_for):
    series = plan_series(request_for("runs='01'", "name='a: b'"), {"true": ()})
    (run,) = series.runs
    assert (run.plan.settings.runs, run.plan.settings.name) == ("01/a: b", "true")


def test_a_mistake_in_the_last_run_is_told_before_the_first_starts(request_for, tmp_path):
    with pytest.raises(UnknownPlugin, match=r"^name=cnn41: unknown model 'cnn41'"):
        sweep(request_for("model.name=panns_cnn6,panns_cnn10,cnn41"))
    with pytest.raises(SettingsError, match=r"^batch_size=5: .*which is not divisible by 2 processes"):
        sweep(request_for("train.batch_size=2,4,5", processes=2))
    assert [path.name for path in tmp_path.iterdir()] == ["few.yaml"]


def test_the_folder_of_another_run_is_refused_before_the_first_starts(request_for, tmp_path):
    other = tmp_path / "runs" / "few" / "fold_2"
    (other / "checkpoints" / "step_00000001").mkdir(parents=True)
    chosen, _ = settings.load(tmp_path / "few.yaml", ["seed=1", "name=fold_2", "data.params.valid_fold=2"])
    (other / "settings.yaml").write_text(settings.to_yaml(chosen))
    with pytest.raises(BadRunFolder, match=r"fold_2: runs/few/fold_2 contains another run: seed is 1 there, 0 now"):
        cross_validate(request_for())


def test_a_series_in_the_folder_of_a_single_run_is_refused(request_for, tmp_path):
    (tmp_path / "runs" / "few").mkdir(parents=True)
    (tmp_path / "runs" / "few" / "settings.yaml").write_text("name: few")
    with pytest.raises(BadRunFolder, match=r"runs/few is the folder of a single run(.|\n)*name=few_series"):
        cross_validate(request_for())


def test_a_process_of_the_launcher_is_refused(request_for, monkeypatch):
    monkeypatch.setenv("PADDLE_TRAINERS_NUM", "2")
    with pytest.raises(SettingsError, match=r"started by Paddle's launcher"):
        plan_series(request_for(), {"a": ()})


def test_what_is_finished_is_so_only_with_the_same_settings_and_its_folder(request_for):
    series = plan_series(request_for(), {"a": ()})
    (run,) = series.runs
    run.folder.mkdir(parents=True)
    (run.folder / "scores.jsonl").touch()
    assert not series.is_finished(run)
    series.mark_finished(run)
    assert series.is_finished(run)
    longer = plan_series(request_for("train.epochs=4"), {"a": ()})
    assert not longer.is_finished(longer.runs[0])
    (run.folder / "scores.jsonl").unlink()
    assert not series.is_finished(run)


def test_a_second_command_in_the_same_folder_is_refused_while_the_first_is_at_work(request_for):
    series = plan_series(request_for(), {"a": ()})
    refused = []

    def second():
        try:
            with series.locked():
                pass
        except BadRunFolder as error:
            refused.append(str(error))

    with series.locked():
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
    assert "is running in runs/few" in refused[0]
    second()
    assert len(refused) == 1


def test_a_run_gets_as_many_gpus_as_it_has_processes(request_for):
    assert slot_environments(request_for(parallel=2)) == [{}, {}]
    assert slot_environments(request_for(gpus=("0", "1"))) == [
        {"CUDA_VISIBLE_DEVICES": "0"},
        {"CUDA_VISIBLE_DEVICES": "1"},
    ]
    pairs = slot_environments(request_for(gpus=("0", "1", "2", "3"), processes=2))
    assert pairs == [{"CUDA_VISIBLE_DEVICES": "0,1"}, {"CUDA_VISIBLE_DEVICES": "2,3"}]
    with pytest.raises(SettingsError, match=r"--gpus has 3 GPUs, which is not a multiple of --nproc 2"):
        slot_environments(request_for(gpus=("0", "1", "2"), processes=2))


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1e-4,3e-4", ["1e-4", "3e-4"]),
        ("[a,b]", ["[a,b]"]),
        ("[a,b],[c]", ["[a,b]", "[c]"]),
        ("{a: 1, b: [2,3]},{}", ["{a: 1, b: [2,3]}", "{}"]),
        ('"a,b",c', ['"a,b"', "c"]),
        ("it's,one", ["it's", "one"]),
        ("a,,b", ["a", "", "b"]),
        ("", [""]),
    ],
)
def test_a_comma_divides_values_but_not_inside_brackets_or_quotes(text, values):
    assert split_values(text) == values


def test_keys_with_several_values_make_the_grid_and_the_others_hold_for_all():
    fixed, grid = read_grid(["seed=0,1", "train.epochs=3", "a.b=[1,2]"])
    assert fixed == ("train.epochs=3", "a.b=[1,2]")
    assert grid == {"seed": ["0", "1"]}


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["seed=0"], "nothing to sweep"),
        (["seed=0,,1"], "'seed=0,,1' has an empty or repeated value"),
        (["seed=0,0"], "repeated value"),
        (["seed=0,1", "seed=2,3"], "seed is given twice"),
        (["seed=0,1", "seed=2"], "seed is given twice, once with several values"),
    ],
)
def test_a_grid_that_cannot_be_meant_is_refused(overrides, said):
    with pytest.raises(SettingsError, match=said):
        read_grid(overrides)


def test_a_sweep_of_too_many_runs_is_refused_before_they_are_listed():
    many = ",".join(map(str, range(300)))
    with pytest.raises(SettingsError, match="27000000 combinations: 300 of seed x 300 of ") as caught:
        read_grid([f"{key}={many}" for key in ("seed", "a.b", "a.c")])
    assert "at most 1000 runs" in str(caught.value)


@pytest.mark.parametrize("key", ["name", "runs"])
def test_the_folder_of_the_runs_cannot_be_swept(request_for, key):
    with pytest.raises(SettingsError, match=rf"{key} cannot have several values"):
        sweep(request_for(f"{key}=a,b"))


def test_values_that_are_the_same_are_refused(request_for):
    with pytest.raises(SettingsError, match=r"learning_rate=1e-4 and learning_rate=0.0001 are the same settings"):
        sweep(request_for("optimizer.learning_rate=1e-4,0.0001"))


def test_runs_that_select_by_different_scores_are_refused(request_for):
    with pytest.raises(SettingsError, match=r"different scores: valid/accuracy, valid/loss"):
        sweep(request_for("select.metric=valid/accuracy,valid/loss"))


def test_a_folder_is_named_by_what_sets_its_run_apart():
    assert folder_name({"optimizer.learning_rate": "1e-4", "seed": "0"}) == "learning_rate=1e-4,seed=0"
    assert folder_name({"train.crop_s": "1", "valid.crop_s": "2"}) == "train.crop_s=1,valid.crop_s=2"


def test_names_that_no_folder_may_bear_stay_apart():
    first, second = (folder_name({"model.weights": text}) for text in ("a/b.pth", "a b.pth"))
    assert first != second
    assert "/" not in first
    assert first.startswith("weights=a-b.pth-")
    assert len(folder_name({"model.weights": "x" * 400})) < 120


def test_a_dry_run_of_a_grid_prints_every_combination(request_for, capsys):
    assert sweep(request_for("seed=0,1", "train.epochs=2,4", dry_run=True)) == 0
    said = capsys.readouterr().out
    assert "4 runs in runs/few" in said
    assert "seed=1,epochs=4  to do\n" in said
    assert "runs=runs/few name=seed=1,epochs=4\n" in said


def test_a_damaged_note_of_what_is_finished_is_refused(request_for):
    series = plan_series(request_for(), {"a": ()})
    series.folder.mkdir(parents=True)
    (series.folder / "finished.json").write_text(json.dumps({"a": 1})[:-1])
    with pytest.raises(BadRunFolder, match=r"runs/few/finished.json is damaged(.|\n)*rm runs/few/finished.json"):
        series.is_finished(series.runs[0])
