"""What is printed where something cannot be done, and what is left behind then."""

import json
import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import calling
import launching
import numpy as np
import pytest
import soundfile

RATE_HZ = 32000
FOLDER = ("model.name=panns_cnn6", "data.name=folder", "data.workers=0", "train.crop_s=0.5", "train.batch_size=4")
SOUNDS = (*FOLDER, "data.params.root=sounds", "train.epochs=1")
ESC50 = ("model.name=panns_cnn6", "data.name=esc50")
BAD = "train/low/2.wav"


def nothing(work):
    """A working folder that is empty."""


def tone(seconds=0.6, pitch_hz=440.0):
    return 0.3 * np.sin(2 * np.pi * pitch_hz * np.arange(round(seconds * RATE_HZ)) / RATE_HZ)


def sounds(spoil: Callable[[Path], object]) -> Callable[[Path], None]:
    """Two classes of sounds, one of them spoilt."""

    def prepare(work):
        for split, count in (("train", 4), ("valid", 1)):
            for label in ("high", "low"):
                (work / "sounds" / split / label).mkdir(parents=True)
                for number in range(count):
                    soundfile.write(work / "sounds" / split / label / f"{number}.wav", tone(), RATE_HZ)
        (work / "sounds" / BAD).unlink()
        spoil(work / "sounds" / BAD)

    return prepare


def silent_of(seconds):
    return lambda path: soundfile.write(path, tone(seconds), RATE_HZ)


def not_numbers(path):
    samples = tone()
    samples[::1000] = np.nan
    soundfile.write(path, samples, RATE_HZ, subtype="FLOAT")


def two_folds(work):
    """A download of ESC-50 of which three folds were left out."""
    (work / "ESC-50" / "meta").mkdir(parents=True)
    (work / "ESC-50" / "audio").mkdir()
    rows = [f"{fold}-1-A-{target}.wav,{fold},{target},{name}" for fold in (1, 2) for target, name in enumerate("ab")]
    for row in rows:
        (work / "ESC-50" / "audio" / row.partition(",")[0]).touch()
    lines = ["filename,fold,target,category,esc10,src_file,take", *(f"{row},False,1,A" for row in rows)]
    (work / "ESC-50" / "meta" / "esc50.csv").write_text("\n".join(lines) + "\n")


@dataclass(frozen=True)
class Refusal:
    """A command, what is said, and whether the run's folder was made before that."""

    name: str
    config: str
    overrides: tuple[str, ...]
    says: tuple[str, ...]
    prepare: Callable[[Path], None] = nothing
    begins: bool = False

    def made(self, folder):
        """The command's outcome in a working folder of its own."""
        work = folder / self.name.replace(" ", "_")
        work.mkdir()
        self.prepare(work)
        return work, calling.train(self.config, *self.overrides, cwd=work)


def bad_clip(name, prepare, *says):
    place = f"clip '{BAD}' (sounds/{BAD}): "
    way_out = "repair or remove it, or set data.on_bad_clip=skip to skip it"
    return Refusal(name, "base.yaml", SOUNDS, (place + says[0], way_out, *says[1:]), prepare, begins=True)


REFUSALS = (
    Refusal(
        "an unknown key",
        "tones_cnn6.yaml",
        ("train.epoch=3",),
        ("unknown key train.epoch on the command line", "closest: epochs.", "next: pannsdist config show -c "),
    ),
    Refusal(
        "a value of the wrong type",
        "tones_cnn6.yaml",
        ("train.epochs=many",),
        ("train.epochs on the command line: ", "'many'", "train.epochs: a value of type int"),
    ),
    Refusal(
        "a settings file that is not there",
        "nowhere.yaml",
        (),
        ("no settings file ", "nowhere.yaml", "give a YAML file with -c", "next: pannsdist config list"),
    ),
    Refusal(
        "a metric that is not computed",
        "tones_cnn6.yaml",
        ("select.metric=valid/acuracy",),
        ("no score 'valid/acuracy' is computed (select.metric on the command line)", "closest: valid/accuracy."),
    ),
    Refusal(
        "a crop shorter than the network needs",
        "tones_cnn6.yaml",
        ("train.crop_s=0.1",),
        ("train.crop_s on the command line is 0.1 s", "panns_cnn6 needs 4800 samples, at least 0.150 s"),
    ),
    Refusal(
        "a folder that is not there",
        "base.yaml",
        (*FOLDER, "data.params.root=nowhere"),
        ("nowhere does not exist (data.params.root)", "root/train/CLASS/*.wav", "next: ls "),
    ),
    Refusal(
        "a fold that does not exist",
        "base.yaml",
        (*ESC50, "data.params.root=ESC-50", "data.params.valid_fold=6"),
        ("data.params.valid_fold is 6", "allowed: 1 to 5", "next: the same command with data.params.valid_fold=1"),
        two_folds,
    ),
    Refusal(
        "a split without clips",
        "base.yaml",
        (*ESC50, "data.params.root=ESC-50", "data.params.valid_fold=5"),
        ("data.params.valid_fold is 5, ", ": no clip is left for 'valid' in ESC-50", "the lists have: 1, 2"),
        two_folds,
    ),
    Refusal(
        "weights that are not there",
        "tones_cnn6.yaml",
        ("model.weights=nowhere.pth",),
        ("no weights 'nowhere.pth' (model.weights on the command line)", "give a file"),
    ),
    bad_clip(
        "a file that is no sound",
        sounds(lambda path: path.write_bytes(b"no sound at all")),
        "libsndfile cannot decode it (",
    ),
    bad_clip("an empty file", sounds(Path.touch), "the file is empty"),
    bad_clip("a sound without samples", sounds(silent_of(0.0)), "it contains no samples"),
    bad_clip("samples that are no numbers", sounds(not_numbers), "it contains NaN or infinite samples"),
    bad_clip(
        "a clip shorter than the network needs",
        sounds(silent_of(0.05)),
        "it lasts 0.050 s, less than the minimum of 0.150 s",
        "data.min_clip_s=0 pads it with silence instead",
    ),
)


def half_written(work):
    """What a run would leave that was stopped in the middle of writing, or that had come to a result."""
    names = ("best_model", "best", "last", "epoch_*", ".*.writing", ".*.older", "bad_clips.txt")
    return [path for name in names for path in (work / "runs").rglob(name)]


@pytest.mark.any_paddle
@pytest.mark.parametrize("refusal", [pytest.param(refusal, id=refusal.name) for refusal in REFUSALS])
def test_one_process_refuses(tmp_path, refusal):
    work, launched = refusal.made(tmp_path)
    assert launched.exit_code == 2, str(launched)
    assert "error: " in launched.output
    for text in refusal.says:
        assert text in launched.output, str(launched)
    assert "Traceback" not in launched.output, str(launched)
    assert (work / "runs").exists() is refusal.begins
    assert half_written(work) == []


@pytest.mark.any_paddle
@pytest.mark.parametrize(
    ("name", "way_out"),
    [("an empty file", "data.on_bad_clip=skip"), ("a clip shorter than the network needs", "data.min_clip_s=0")],
)
def test_the_way_out_that_the_refusal_of_a_clip_names_works(tmp_path, name, way_out):
    work, launched = next(refusal for refusal in REFUSALS if refusal.name == name).made(tmp_path)
    assert way_out in launched.output
    again = calling.train("base.yaml", *SOUNDS, way_out, cwd=work)
    assert again.exit_code == 0, str(again)
    assert (work / "runs" / "run" / "best_model").is_dir()


def undivided_batch(work, _):
    return launching.training("tones_cnn6.yaml", "train.batch_size=5", cwd=work)


def folder_of_another_run(work, fixture):
    fixture("run").copied(work)
    overrides = (*launching.TINY, *launching.CONSTANT, "name=tiny", "seed=1")
    return launching.training("tones_cnn6.yaml", *overrides, cwd=work)


def fine_tuning(run):
    return (*launching.TINY, f"model.weights={run.folder / 'best_model' / 'model.pdparams'}")


def weights_of_another_network(work, fixture):
    return launching.training("tones_cnn6.yaml", *fine_tuning(fixture("run")), "model.name=panns_cnn10", cwd=work)


IN_TURN = {
    "a batch that cannot be divided": undivided_batch,
    "the folder of another run": folder_of_another_run,
    "weights of another network": weights_of_another_network,
}


def refused_by_both(launched, *says):
    """Whether both processes ended as a user's mistake ends them, rank 0 with these texts."""
    assert (launched.exit_code, launched.exit_codes) == (2, (2, 2)), str(launched)
    for text in says:
        assert text in launched.logs[0], str(launched)
    assert not any("Traceback" in log for log in (launched.output, *launched.logs)), str(launched)


def test_two_processes_refuse_an_unknown_plugin(work):
    for _ in range(3):
        launched = launching.train("tones_cnn6.yaml", "model.name=cnn41", processes=2, cwd=work)
        if -signal.SIGTERM not in launched.exit_codes:  # the launcher ends a process that is a second slower
            break
    refused_by_both(
        launched,
        "error: unknown model 'cnn41' (model.name on the command line)",
        "closest: ",
        "such as Cnn14, ",
        "next: pannsdist plugins list",
    )
    assert not (work / "runs").exists()


def test_two_processes_refuse_a_batch_that_they_cannot_divide(together):
    outcome = together["a batch that cannot be divided"]
    refused_by_both(
        outcome.launched,
        "error: train.batch_size on the command line is 5, which is not divisible by 2 processes",
        "nearest: 4 or 6",
    )
    assert not (outcome.work / "runs").exists()


def test_two_processes_refuse_the_folder_of_another_run(together, run):
    outcome = together["the folder of another run"]
    refused_by_both(
        outcome.launched,
        "error: runs/tiny contains another run: seed is 0 there, 1 now",
        "choose another name, as name=NAME, or remove that folder",
    )
    assert launching.contents(outcome.work / "runs" / "tiny") == launching.contents(run.folder)


def test_a_run_whose_dataset_has_other_labels_now_is_refused(run, work):
    other = run.copied(work)
    labels = json.loads((other.folder / "labels.json").read_text())
    (other.folder / "labels.json").write_text(json.dumps([labels[0], "whistle", *labels[2:]]))
    launched = calling.train("tones_cnn6.yaml", *launching.TINY, *launching.CONSTANT, "name=tiny", cwd=work)
    command_refused(
        launched,
        "the dataset's labels differ from those of the run in runs/tiny: sweep, whistle",
        "choose another name, as name=NAME",
    )


def test_two_processes_refuse_the_weights_of_another_network(run, together):
    outcome = together["weights of another network"]
    refused_by_both(
        outcome.launched,
        f"error: {run.folder / 'best_model' / 'model.pdparams'} (",
        "does not fit the network",
        "missing: ",
        "choose the model that these weights belong to",
        "it fits panns_cnn6",
    )
    assert not (outcome.work / "runs").exists()  # refused by the plan


def test_after_refused_weights_the_same_run_can_be_started_with_the_right_model(run, together, tmp_path):
    work = tmp_path / "work"
    shutil.copytree(together["weights of another network"].work, work, symlinks=True)
    again = calling.train("tones_cnn6.yaml", *fine_tuning(run), "model.name=panns_cnn6", cwd=work)
    assert again.exit_code == 0, str(again)
    assert "tensors loaded" in again.output
    assert "head kept" in again.output


def command_refused(launched, *says):
    assert launched.exit_code == 2, str(launched)
    for text in says:
        assert text in launched.output, str(launched)
    assert "Traceback" not in launched.output, str(launched)


@pytest.mark.any_paddle
def test_evaluate_refuses_a_dataset_with_other_labels(run, work):
    model, config = run.folder / "best_model", launching.CONFIGS / "tones_cnn6.yaml"
    launched = calling.pannsdist("evaluate", "--model", model, "-c", config, "data.params.classes=2", cwd=work)
    command_refused(
        launched,
        f"error: the labels of the dataset differ from those of the model in {model}",
        "the model has 3, the dataset 2; label 2: model 'noise', dataset 'nothing'",
    )


@pytest.mark.any_paddle
def test_evaluate_refuses_a_split_that_the_dataset_has_not(run, work):
    model, config = run.folder / "best_model", launching.CONFIGS / "tones_cnn6.yaml"
    launched = calling.pannsdist("evaluate", "--model", model, "-c", config, "--split", "vald", cwd=work)
    command_refused(launched, "has no split 'vald'", "closest: valid.  it has: train, valid")


@pytest.mark.any_paddle
def test_predict_refuses_a_folder_that_is_no_model(work):
    (work / "sound.wav").touch()
    launched = calling.pannsdist("predict", "--model", ".", "sound.wav", cwd=work)
    command_refused(launched, "is not a model folder: it has no bundle.json", "give the best_model folder of a run")


def test_predict_refuses_a_model_whose_weights_are_damaged(run, work):
    damaged = run.copied(work).folder / "best_model"
    weights = (damaged / "model.pdparams").read_bytes()
    (damaged / "model.pdparams").write_bytes(weights[:-100])
    (work / "sound.wav").touch()
    launched = calling.pannsdist("predict", "--model", damaged, "sound.wav", cwd=work)
    command_refused(launched, f"{damaged / 'model.pdparams'} is missing or damaged", "copy the whole folder again")


@pytest.mark.any_paddle
def test_predict_refuses_a_file_that_is_not_there(run, work):
    launched = calling.pannsdist("predict", "--model", run.folder / "best_model", "nowhere.wav", cwd=work)
    command_refused(launched, "error: there is no file nowhere.wav", "give sound files or folders of them")
