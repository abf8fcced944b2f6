"""What ends a process is noted for the command that started it."""

import json

import pytest
import small_disks

from pannsdist.runtime import console, exit_codes
from pannsdist.runtime.errors import BadDataset, CannotWrite, PeerLost, Stopped, UserError

pytestmark = pytest.mark.any_paddle


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where this process, rank 1 of 2, notes how it ended."""
    for name, value in ((exit_codes.FOLDER, tmp_path), ("PADDLE_TRAINER_ID", 1), ("PADDLE_TRAINERS_NUM", 2)):
        monkeypatch.setenv(name, str(value))
    return tmp_path


def failing(error):
    def work():
        raise error

    return work


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BadDataset("wrong", "two\nlines", "a 'b c'"), 2),
        (PeerLost("rank 0 is gone"), 75),
        (Stopped("stopped after step 3", "again"), 75),
    ],
)
def test_the_error_of_a_command_is_noted_whole(folder, error, code):
    assert console.exit_code(failing(error)) == code
    noted = exit_codes.noted_error(folder, 1)
    assert (type(noted), noted.args) == (type(error), error.args)
    assert exit_codes.noted_error(folder, 0) is None
    exit_codes.reserve(folder, 1)
    assert exit_codes.noted_error(folder, 1) is None


def test_on_a_full_disk_the_code_and_the_error_are_noted_in_their_room(folder):
    if not small_disks.mount(folder, "64k"):
        pytest.skip("a small disk needs the right to mount it")
    try:
        exit_codes.reserve(folder, 1)
        assert exit_codes.noted(folder, 1) is None
        with (folder / "full").open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
            while True:
                file.write(bytes(4096))
        code = console.exit_code(failing(CannotWrite("cannot write runs/a: No space left on device", "make room")))
        exit_codes.note(code)
        assert exit_codes.noted(folder, 1) == 2
        assert exit_codes.noted_error(folder, 1).wrong == "cannot write runs/a: No space left on device"
    finally:
        small_disks.unmount(folder)


def test_a_code_that_cannot_be_noted_is_still_that_of_the_process(folder, monkeypatch):
    monkeypatch.setenv(exit_codes.FOLDER, str(folder / "gone"))
    exit_codes.note(2)
    assert exit_codes.noted(folder / "gone", 1) is None


def test_an_error_of_the_system_is_noted_as_it_is_printed(folder):
    assert console.exit_code(failing(OSError(28, "No space left on device"))) == 2
    assert type(exit_codes.noted_error(folder, 1)) is CannotWrite


def test_a_process_without_a_launcher_notes_nothing(folder, monkeypatch):
    monkeypatch.delenv("PADDLE_TRAINER_ID")
    console.exit_code(failing(UserError("wrong")))
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"wrong": 3}', json.dumps({"type": "os", "wrong": "a", "right": "b", "command": "c"})]
)
def test_a_damaged_note_is_no_error_of_another_type(folder, text):
    (folder / "error.1").write_text(text)
    assert type(exit_codes.noted_error(folder, 1)) in (type(None), UserError)
