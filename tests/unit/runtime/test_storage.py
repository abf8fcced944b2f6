"""Atomic writes of files and folders."""

import json
import subprocess
import sys
import textwrap

import disk_calls
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


def test_a_name_that_is_not_utf_8_is_written_as_an_escape_that_json_reads(tmp_path):
    storage.write_atomic(tmp_path / "a.json", json.dumps({"name": "b\udcc4"}, ensure_ascii=False))
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"name": "b\udcc4"}


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


def test_a_file_is_on_the_disk_before_it_gets_its_name(tmp_path):
    """Otherwise a loss of power leaves an empty file under the name of the older one."""
    with disk_calls.recorded() as calls:
        storage.write_atomic(tmp_path / "a.txt", "new")
    assert calls == [("sync", ".a.txt.writing"), ("rename", ".a.txt.writing -> a.txt"), ("sync", tmp_path.name)]


def two_files_and_a_folder(folder):
    (folder / "sub").mkdir()
    for name in ("one", "two", "sub/three"):
        (folder / name).write_text(name, encoding="utf-8")


def test_all_files_of_a_folder_are_on_the_disk_before_it_gets_its_name(tmp_path):
    with disk_calls.recorded() as calls:
        storage.write_folder_atomic(tmp_path / "made", two_files_and_a_folder)
    renamed = calls.index(("rename", ".made.writing -> made"))
    assert {name for what, name in calls[:renamed]} == {"one", "two", "three", "sub", ".made.writing"}
    assert calls[renamed - 1] == ("sync", ".made.writing")
    assert calls[renamed + 1 :] == [("sync", tmp_path.name)]


def test_a_folder_is_exchanged_for_the_older_one_only_when_it_is_on_the_disk(tmp_path):
    storage.write_folder_atomic(tmp_path / "made", filled("old"))
    with disk_calls.recorded() as calls:
        storage.write_folder_atomic(tmp_path / "made", filled("new"))
    assert calls == [
        ("sync", "file"),
        ("sync", ".made.writing"),
        ("swap", ".made.writing <-> made"),
        ("sync", tmp_path.name),
    ]


def test_a_link_is_on_the_disk_after_its_target(tmp_path):
    (tmp_path / "one").mkdir()
    with disk_calls.recorded() as calls:
        storage.link_atomic(tmp_path / "last", tmp_path / "one")
    assert calls == [("rename", ".last.writing -> last"), ("sync", tmp_path.name)]


KILLED = """
    import os, sys
    from pathlib import Path
    from pannsdist.runtime import storage

    left, exchanges = int(sys.argv[2]), sys.argv[3] == "exchanges"
    if not exchanges:
        storage.swap_paths = lambda *_: False  # as on a file system without it

    def audit(event, _):
        global left
        if event in ("os.rename", "shutil.rmtree", "os.remove", "os.rmdir"):
            left -= 1
            if left < 0:
                os._exit(9)

    sys.addaudithook(audit)
    storage.write_folder_atomic(Path(sys.argv[1]), lambda folder: (folder / "file").write_text("new"))
"""


@pytest.mark.parametrize("exchanges", ["exchanges", "renames"])
def test_a_folder_is_found_complete_wherever_its_replacement_is_killed(tmp_path, exchanges):
    found = []
    for moment in range(20):
        made = tmp_path / str(moment) / "made"
        storage.write_folder_atomic(made, filled("old"))
        command = [sys.executable, "-c", textwrap.dedent(KILLED), str(made), str(moment), exchanges]
        done = subprocess.run(command, check=False)
        found.append(made.exists())
        assert (storage.complete_version(made) / "file").read_text(encoding="utf-8") in ("old", "new")
        storage.recover_folder(made)
        assert (made / "file").read_text(encoding="utf-8") in ("old", "new")
        assert names(made.parent) == ["made"]
        if done.returncode == 0:
            break
    assert done.returncode == 0 and moment > 1
    assert all(found) if exchanges == "exchanges" else not all(found)


def test_a_private_folder_is_its_owners_alone_although_it_was_there_before(tmp_path):
    (tmp_path / "open").mkdir(mode=0o755)
    (tmp_path / "open").chmod(0o755)
    for name in ("open", "new"):
        storage.make_folder(tmp_path / name, private=True)
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o700
