"""A run folder that the system cannot read or change at the moment: a message with exit code 2, and nothing lost."""

import errno
import json
import os
import shutil

import calling
import faulty_disk
import launching
import pytest

from pannsdist.runtime import reading
from pannsdist.runtime.errors import CannotRead
from pannsdist.training.tracking import ScoresFile

pytestmark = pytest.mark.any_paddle

TINY = ("tones_cnn6.yaml", *launching.TINY, "trackers.visualdl=null", "save.keep=1")
RUN = "runs/tones_cnn6"


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A finished run of one epoch."""
    work = tmp_path_factory.mktemp("disk")
    launched = calling.train(*TINY, cwd=work)
    assert launched.exit_code == 0, str(launched)
    return work


@pytest.fixture
def work(first, tmp_path):
    shutil.copytree(first, tmp_path / "copy", symlinks=True)
    return tmp_path / "copy"


def report(work):
    return calling.pannsdist("report", RUN, cwd=work)


def evaluate(work):
    config = launching.CONFIGS / "tones_cnn6.yaml"
    return calling.pannsdist("evaluate", "--model", f"{RUN}/best_model", "-c", config, *launching.TINY, cwd=work)


def dry_run(work):
    return calling.train(*TINY, "--dry-run", cwd=work)


@pytest.mark.parametrize(
    ("command", "ending"),
    [
        (report, "settings.yaml"),
        (report, "scores.jsonl"),
        (report, "bundle.json"),
        (report, "record.json"),
        (report, "logits.npy"),
        (evaluate, "bundle.json"),
        (evaluate, "best_model/model.pdparams"),
        (evaluate, "data.json"),
        (dry_run, "settings.yaml"),
        (dry_run, "labels.json"),
        (dry_run, "data.json"),
        (dry_run, "checkpoints"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_file_that_cannot_be_read_is_named_and_nothing_is_changed(work, command, ending):
    before = launching.contents(work)
    with faulty_disk.failing(ending, errno.EIO):
        launched = command(work)
    assert launched.exit_code == 2, str(launched)
    error = next(line for line in launched.output.splitlines() if line.startswith("error: "))
    assert ending in error and "Input/output error" in error
    assert "is damaged" not in launched.output
    assert launching.contents(work) == before


def test_a_training_that_cannot_rename_its_checkpoint_stops_with_a_message_and_goes_on(work):
    events = faulty_disk.RENAMING
    with faulty_disk.failing(".step_00000006.writing", errno.EIO, events=events):
        launched = calling.train(*TINY, "train.epochs=2", cwd=work)
    assert launched.exit_code == 2, str(launched)
    assert f"error: cannot write {RUN}/checkpoints/step_00000006: Input/output error\n" in launched.output
    assert f"the run can resume from {RUN}/checkpoints/step_00000003" in launched.output
    launched = calling.train(*TINY, "train.epochs=2", cwd=work)
    assert launched.exit_code == 0, str(launched)
    lines = (work / RUN / "scores.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2]


@pytest.mark.parametrize("ending", ["settings.yaml", "scores.jsonl", "record.json", "logits.npy"])
def test_a_passing_fault_is_retried(work, ending):
    with faulty_disk.failing(ending, errno.ESTALE, times=1):
        assert report(work).exit_code == 0


def test_scores_that_cannot_be_flushed_are_a_message(tmp_path):
    file = ScoresFile(tmp_path / "scores.jsonl", 0)
    with (
        faulty_disk.failing("scores.jsonl", errno.EIO),
        pytest.raises(Exception, match=r"cannot write .*scores\.jsonl: "),
    ):
        file.flush()


@pytest.mark.parametrize(
    "line", ["{", "5", "[]", '{"epoch": 1}', '{"epoch": "one", "seconds": 1}', '{"epoch": null, "seconds": 1}']
)
def test_damaged_scores_are_refused_by_the_report(work, line):
    path = work / RUN / "scores.jsonl"
    path.write_text(path.read_text(encoding="utf-8") + line + "\n", encoding="utf-8")
    launched = report(work)
    assert launched.exit_code == 2, str(launched)
    assert "scores.jsonl is damaged" in launched.output


def test_a_line_of_the_scores_that_is_being_written_is_left_out_of_the_report(work):
    path = work / RUN / "scores.jsonl"
    path.write_text(path.read_text(encoding="utf-8") + '{"epoch": 2, "st', encoding="utf-8")
    assert report(work).exit_code == 0


def test_a_name_that_no_file_can_have_is_refused_by_every_command_that_reads_a_folder(work):
    for name in ("n" * 300, f"{'n' * 300}/best_model", "a\0b"):
        for command in (
            ("report", name),
            ("evaluate", "--model", name, "-c", launching.CONFIGS / "tones_cnn6.yaml"),
            ("predict", "--model", name, "sound.wav"),
        ):
            launched = calling.pannsdist(*command, cwd=work)
            assert launched.exit_code == 2, (command, str(launched))


def test_what_cannot_be_looked_at_is_neither_there_nor_missing(tmp_path):
    """A folder without permission, for a user who is bound by permissions."""
    (tmp_path / "closed").mkdir()
    (tmp_path / "closed" / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    assert reading.is_folder(tmp_path / "closed") and reading.is_file(tmp_path / "closed" / "file")
    for absent in ("none", "loop", "closed/file/deeper", "n" * 300, "a\0b"):
        assert not reading.exists(tmp_path / absent)
    (tmp_path / "closed").chmod(0)
    before = os.geteuid()
    try:
        if before == 0:
            os.seteuid(65534)
        for look in (reading.exists, reading.is_file, reading.is_folder):
            with pytest.raises(CannotRead, match="closed/file cannot be read: Permission denied"):
                look(tmp_path / "closed" / "file")
    finally:
        if before == 0:
            os.seteuid(before)
        (tmp_path / "closed").chmod(0o700)
