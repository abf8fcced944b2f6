"""Atomic writes of files and folders."""

import subprocess
import sys
import textwrap

import pytest

from pannsdist.runtime import storage
from pannsdist.runtime.errors import CannotWrite


def filled(text):
    return lambda folder: (folder / "file").write_text(text, encoding="utf-8")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_is_filled(tmp_path):
    storage.write_folder_atomic(tmp_path / "made", filled("new"))
    assert (tmp_path / "made" / "file").read_text(encoding="utf-8") == "new"
    assert names(tmp_path) == ["made"]


def test_a_folder_replaces_an_older_one_completely(tmp_path):
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "stale").touch()
    storage.write_folder_atomic(tmp_path / "made", filled("new"))
    assert names(tmp_path / "made") == ["file"]
    assert names(tmp_path) == ["made"]


def test_folders_above_are_made(tmp_path):
    storage.write_folder_atomic(tmp_path / "a" / "b" / "made", filled("new"))
    assert names(tmp_path / "a" / "b") == ["made"]


def test_a_full_disk_while_filling_leaves_the_older_folder(tmp_path):
    storage.write_folder_atomic(tmp_path / "made", filled("old"))

    def fill(folder):
        (folder / "file").write_text("ne", encoding="utf-8")
        raise OSError(28, "No space left on device")

    with pytest.raises(CannotWrite) as caught:
        storage.write_folder_atomic(tmp_path / "made", fill)
    assert str(caught.value).startswith(f"cannot write {tmp_path / 'made'}: No space left on device\n")
    assert str(caught.value).endswith(f"next: df -h {tmp_path}")
    assert (tmp_path / "made" / "file").read_text(encoding="utf-8") == "old"
    assert names(tmp_path) == ["made"]


def test_a_process_that_dies_while_filling_leaves_the_older_folder_and_the_next_can_go_on(tmp_path):
    made = tmp_path / "made"
    storage.write_folder_atomic(made, filled("old"))
    code = f"""
        import os
        from pathlib import Path
        from pannsdist.runtime import storage

        def fill(folder):
            (folder / "half").write_text("ne")
            os._exit(9)

        storage.write_folder_atomic(Path({str(made)!r}), fill)"""
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=False)
    assert done.returncode == 9
    assert (made / "file").read_text(encoding="utf-8") == "old"
    storage.write_folder_atomic(made, filled("new"))
    assert names(made) == ["file"]
    assert (made / "file").read_text(encoding="utf-8") == "new"
    assert names(tmp_path) == ["made"]


def test_a_text_file_replaces_the_older(tmp_path):
    storage.write_atomic(tmp_path / "a.txt", "old")
    storage.write_atomic(tmp_path / "a.txt", "ü\n")
    assert (tmp_path / "a.txt").read_bytes() == "ü\n".encode()
    assert names(tmp_path) == ["a.txt"]


def test_the_bytes_of_a_name_that_is_not_utf8_are_written_as_escapes(tmp_path):
    storage.write_atomic(tmp_path / "a.txt", "a \udcb9\udcb7.wav\n")
    storage.append_line(tmp_path / "a.txt", "b \udcb9.wav")
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "a \\xb9\\xb7.wav\nb \\xb9.wav\n"


def test_a_link_moves_to_another_sibling(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        storage.link_atomic(tmp_path / "last", tmp_path / name)
    assert (tmp_path / "last").readlink().name == "two"
    assert names(tmp_path) == ["last", "one", "two"]


def test_a_link_works_where_the_folder_was_moved_to(tmp_path):
    (tmp_path / "here" / "one").mkdir(parents=True)
    storage.link_atomic(tmp_path / "here" / "last", tmp_path / "here" / "one")
    (tmp_path / "here").rename(tmp_path / "there")
    assert (tmp_path / "there" / "last").resolve() == tmp_path / "there" / "one"


def test_recover_restores_what_a_crash_between_two_renames_left(tmp_path):
    (tmp_path / ".made.older").mkdir()
    (tmp_path / ".made.older" / "file").touch()
    (tmp_path / ".made.writing").mkdir()
    (tmp_path / ".text.writing").touch()
    (tmp_path / ".last.writing").symlink_to("nowhere")
    (tmp_path / "done").mkdir()
    (tmp_path / ".done.older").mkdir()
    storage.recover(tmp_path)
    assert names(tmp_path) == ["done", "made"]
    assert names(tmp_path / "made") == ["file"]


def test_lines_are_added_and_a_file_that_cannot_be_written_is_named(tmp_path):
    for line in ("one", "two"):
        storage.append_line(tmp_path / "a.txt", line)
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "one\ntwo\n"
    for write in (storage.append_line, storage.write_atomic):
        with pytest.raises(CannotWrite, match=r"cannot write .*nowhere/a.txt: No such file or directory"):
            write(tmp_path / "nowhere" / "a.txt", "three")
