"""Outputs that cannot be written are refused without leaving anything."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import small_disks

from pannsdist.runtime import storage
from pannsdist.runtime.errors import CannotWrite, UserError
from pannsdist.runtime.outputs import require_file, require_folder, require_suffix

BAD_FOLDERS = {
    "file": "Not a directory",
    "file/deep/er": "Not a directory",
    "link": "it is a link to nothing",
    "link/deep": "Not a directory",
    "/dev/null/a": "Not a directory",
    "/proc/a": "nothing can be created in /proc",
    "/proc": "nothing can be created in /proc",
    "n" * 300: "File name too long",
    "n" * 250: "File name too long",  # what is written beside it has a longer name
    "狗" * 100: "File name too long",
    "n" * 300 + "/a": "File name too long",
    "/".join(["n" * 200] * 25): "File name too long",
    "a\0b": "the name has a NUL character",
}


def names():
    return sorted(path.name for path in Path().iterdir())


@pytest.fixture(autouse=True)
def _place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    Path("link").symlink_to("nowhere")


@pytest.mark.parametrize("name", BAD_FOLDERS, ids=lambda name: repr(name[:20]))
def test_a_folder_that_cannot_be_is_refused_with_the_reason(name):
    with pytest.raises(CannotWrite) as caught:
        require_folder(Path(name), "-o")
    assert caught.value.wrong.startswith("cannot write -o ")
    assert BAD_FOLDERS[name] in caught.value.wrong
    assert caught.value.command
    assert names() == ["file", "link"]


def test_a_folder_that_can_be_is_not_made_yet():
    for name in (".", "new", "new/deep", "/dev/shm"):
        require_folder(Path(name), "-o")
    assert names() == ["file", "link"]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("gone/a.npz", "there is no folder gone"),
        (".", "Is a directory"),
        ("file/a.npz", "there is no folder file"),
        ("/proc/a.npz", "nothing can be created in /proc"),
        ("n" * 300, "File name too long"),
        ("gone\0/a", "the name has a NUL character"),
        ("link", None),
        ("new.npz", None),
        ("file", None),
        ("/dev/null", None),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_a_file_needs_its_folder(name, says):
    if says is None:
        require_file(Path(name), "-o")
    else:
        with pytest.raises(CannotWrite, match=says):
            require_file(Path(name), "-o")
    assert names() == ["file", "link"]


def test_a_full_disk_is_refused():
    Path("small").mkdir()
    if not small_disks.mount(Path("small"), "16k"):
        pytest.skip("needs the right to mount a disk")
    try:
        require_folder(Path("small/a"), "-o")
        with Path("small/full").open("wb") as file, pytest.raises(OSError, match="No space left"):
            file.write(bytes(1 << 20))
            file.flush()
        for refused in (lambda: require_folder(Path("small/a"), "-o"), lambda: require_file(Path("small/a"), "-o")):
            with pytest.raises(CannotWrite, match="No space left on device"):
                refused()
        assert [path.name for path in Path("small").iterdir()] == ["full"]
    finally:
        small_disks.unmount(Path("small"))


def test_a_small_disk_of_a_process_is_seen_by_no_other_and_ends_with_it(tmp_path):
    (tmp_path / "small").mkdir()
    script = "import small_disks, sys, pathlib\nprint(small_disks.mount(pathlib.Path('small'), '16k'), flush=True)\n"
    child = subprocess.Popen(
        [sys.executable, "-c", f"{script}sys.stdin.read()"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(small_disks.__file__).parent)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with child:
        try:
            if child.stdout.readline() != "True\n":
                pytest.skip("needs the right to mount a disk")
            assert str(tmp_path / "small") in Path(f"/proc/{child.pid}/mounts").read_text()
            assert str(tmp_path / "small") not in Path("/proc/self/mounts").read_text()
        finally:
            child.kill()
    (tmp_path / "small").rmdir()


def test_an_ending_is_asked_for():
    require_suffix(Path("a.NPZ"), (".npz",), "-o")
    with pytest.raises(UserError, match=r"-o a.txt is not a .npz file\n  give a name such as a.npz"):
        require_suffix(Path("a.txt"), (".npz",), "-o")


def test_a_link_is_written_through_and_a_device_is_not_replaced():
    Path("target").touch()
    Path("alias").symlink_to("target")
    storage.write_atomic(Path("alias"), "new")
    assert Path("alias").is_symlink()
    assert Path("target").read_text() == "new"
    storage.write_atomic(Path("/dev/null"), "gone")
    assert not Path("/dev/null").is_file()


@pytest.mark.parametrize(
    "write",
    [
        lambda path: storage.write_atomic(path, "a"),
        lambda path: storage.write_file(path, "a"),
        lambda path: storage.append_line(path, "a"),
        lambda path: storage.opened(path, "wb"),
        lambda path: storage.stream_atomic(path, lambda file: file.write(b"a")),
        storage.make_folder,
        lambda path: storage.write_folder_atomic(path, print),
        lambda path: storage.link_atomic(path, path),
    ],
)
@pytest.mark.parametrize("name", ["file/a", "/proc/a/b", "n" * 300, "a\0b"])
def test_every_writer_turns_an_error_into_a_message(write, name):
    with pytest.raises(CannotWrite, match="cannot write "):
        write(Path(name))
    assert names() == ["file", "link"]
