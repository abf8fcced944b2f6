"""Files are written in one room, runtime/storage.py, which turns the errors of the file system into messages."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from architecture import ROOT

PACKAGE = ROOT / "pannsdist"
ROOM = ("runtime/storage.py", "runtime/outputs.py", "runtime/folder_lock.py", "runtime/launcher_logs.py")
"""The modules that write: atomically, as a probe, the lock file, and the modes of the launcher's files."""
INSIDE = {
    "training/checkpoint.py": {"paddle.save"},
    "inference/bundle.py": {"paddle.save"},
    "inference/engines/graph.py": {"paddle.jit.save"},
}
"""What Paddle writes itself, into a folder that `storage.write_folder_atomic` or `storage.temporary_folder` gives."""
METHODS = {
    *("mkdir", "write_text", "write_bytes", "touch", "unlink", "rename", "rmdir", "chmod", "lchmod", "tofile"),
    *("symlink_to", "hardlink_to", "rmtree", "makedirs", "savez", "savez_compressed", "savetxt", "memmap"),
    *("copyfile", "copytree", "copy2", "move", "make_archive", "unpack_archive", "extractall", "mkfifo"),
    *("TemporaryFile", "NamedTemporaryFile", "TemporaryDirectory", "SpooledTemporaryFile", "mkdtemp", "mkstemp"),
    *("FileHandler", "RotatingFileHandler"),
}
"""Methods and functions that write, by the last part of their name, whatever they are called on."""
CALLS = {"os.remove", "os.replace", "os.symlink", "os.link", "os.truncate", "shutil.copy", "np.save", "numpy.save"}
CALLS |= {"paddle.save", "paddle.jit.save", "json.dump", "yaml.dump", "OmegaConf.save", "soundfile.write"}
BUFFERS = {"file", "sound", "buffer"}
"""Names of open files and buffers: what is written into them is not a path."""


def product_files() -> list[Path]:
    plugins = (path for path in (ROOT / "plugins").glob("*/*/**/*.py") if "tests" not in path.parts)
    return sorted([*PACKAGE.rglob("*.py"), *plugins])


def dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if not isinstance(node, ast.Attribute):
        return ""
    inner = dotted(node.value)
    return f"{inner or '?'}.{node.attr}"


def opens_to_write(call: ast.Call, name: str) -> bool:
    """Whether `open` has a mode that writes, or one that is not written out."""
    if name.rpartition(".")[2] not in ("open", "fdopen", "ZipFile", "GzipFile", "SoundFile"):
        return False
    if name == "os.open":
        return not any(dotted(argument) in ("os.devnull", "os.O_RDONLY") for argument in call.args)
    if call.args and dotted(call.args[0]) in BUFFERS:
        return False
    is_method = name not in ("open", "io.open", "os.fdopen", "gzip.open", "zipfile.ZipFile", "soundfile.SoundFile")
    named = [keyword.value for keyword in call.keywords if keyword.arg == "mode"]
    given = named or call.args[0 if is_method else 1 :][:1]
    if not given:
        return False
    mode = given[0]
    if isinstance(mode, ast.Constant):
        return isinstance(mode.value, str) and bool(set(mode.value) & set("wax+"))
    return not is_method  # a plugin's `open(run)` is no file's


def writes(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """(line, name) of each call that writes a file or a folder by its path."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = dotted(node.func)
        last = name.rpartition(".")[2]
        of_storage = name.startswith("storage.")
        into_buffer = bool(node.args) and dotted(node.args[0]) in BUFFERS
        replaces = last == "replace" and "." in name and len(node.args) == 1 and not node.keywords
        saves = last in ("save", "savefig", "savez", "savez_compressed", "write") and name in CALLS | {f"np.{last}"}
        drawn = last in ("savefig", "savez", "savez_compressed") or (last == "save" and bool(node.args))
        if of_storage or ((saves or drawn or name == "json.dump") and into_buffer):
            continue
        if name in CALLS or (last in METHODS and "." in name) or replaces or drawn or opens_to_write(node, name):
            yield node.lineno, name


def guilty(path: Path) -> list[str]:
    place = path.relative_to(PACKAGE if path.is_relative_to(PACKAGE) else ROOT).as_posix()
    if place in ROOM:
        return []
    found = writes(ast.parse(path.read_text(encoding="utf-8")))
    return [f"{place}:{line}: {name}" for line, name in found if name not in INSIDE.get(place, ())]


def test_nothing_writes_outside_the_room():
    assert [line for path in product_files() for line in guilty(path)] == []


@pytest.mark.parametrize(
    "line",
    [
        "path.mkdir()",
        "Path(a).write_text('')",
        "(a / b).write_bytes(b'')",
        "open(path, 'w')",
        "open(path, mode='ab')",
        "open(path, chosen)",
        "path.open('x')",
        "path.open(mode='r+b')",
        "os.makedirs(path)",
        "os.open(path, os.O_CREAT | os.O_RDWR)",
        "os.replace(a, b)",
        "temporary.replace(path)",
        "path.rename(other)",
        "shutil.copy(a, b)",
        "shutil.copyfile(a, b)",
        "np.savez(path, a=b)",
        "np.save(path, a)",
        "paddle.save(a, path)",
        "figure.savefig(path)",
        "image.save(path)",
        "tempfile.TemporaryDirectory()",
        "soundfile.write(path, a, 8000)",
    ],
)
def test_a_write_is_seen(line):
    assert list(writes(ast.parse(line)))


@pytest.mark.parametrize(
    "line",
    [
        "path.open()",
        "path.open('rb')",
        "open(path)",
        "text.replace('a', 'b')",
        "storage.make_folder(a)",
        "plugin.open(run)",
    ],
)
def test_what_writes_nothing_is_not(line):
    assert not list(writes(ast.parse(line)))
