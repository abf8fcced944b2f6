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
    "audio/workers/slots.py": {"tempfile.TemporaryFile"},
}
"""What Paddle writes itself, into a folder that `storage.write_folder_atomic` or `storage.temporary_folder` gives; and
memory that processes share, where it has to be a file without a name."""
METHODS = {
    *("mkdir", "write_text", "write_bytes", "touch", "unlink", "rename", "rmdir", "chmod", "lchmod", "tofile"),
    *("symlink_to", "hardlink_to", "rmtree", "makedirs", "savez", "savez_compressed", "savetxt", "memmap"),
    *("copyfile", "copytree", "copy2", "move", "make_archive", "unpack_archive", "extractall", "mkfifo"),
    *("TemporaryFile", "NamedTemporaryFile", "TemporaryDirectory", "SpooledTemporaryFile", "mkdtemp", "mkstemp"),
    *("FileHandler", "RotatingFileHandler", "open_memmap", "save_inference_model", "save_file", "write_html"),
    *(
        "to_csv",
        "to_json",
        "to_pickle",
        "to_parquet",
        "to_excel",
        "urlretrieve",
        "copyfileobj",
        "removedirs",
        "renames",
    ),
}
"""Methods and functions that write, by the last part of their name, whatever they are called on."""
CALLS = {"os.remove", "os.replace", "os.symlink", "os.link", "os.truncate", "shutil.copy", "numpy.save"}
CALLS |= {"paddle.save", "paddle.jit.save", "json.dump", "yaml.dump", "omegaconf.OmegaConf.save", "soundfile.write"}
CALLS |= {"pickle.dump", "onnx.save", "onnx.save_model", "torch.save", "sqlite3.connect", "dbm.open", "shelve.open"}
OPENING = {
    **dict.fromkeys(("open", "io.open", "codecs.open", "os.fdopen", "gzip.open", "bz2.open", "lzma.open"), 1),
    **dict.fromkeys(("tarfile.open", "wave.open", "io.FileIO", "zipfile.ZipFile", "tarfile.TarFile"), 1),
    **dict.fromkeys(("gzip.GzipFile", "bz2.BZ2File", "lzma.LZMAFile", "soundfile.SoundFile", "h5py.File"), 1),
}
"""What opens a file, and the place of the mode among its arguments; of other `.open` it is the first."""
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


def imported_names(tree: ast.Module) -> dict[str, str]:
    """What each imported name stands for: `np` for numpy, `copy` for shutil.copy."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update({alias.asname: alias.name for alias in node.names if alias.asname})
        elif isinstance(node, ast.ImportFrom):
            found.update({alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names})
    return found


def opens_to_write(call: ast.Call, name: str) -> bool:
    """Whether a file is opened with a mode that writes, or one that is not written out."""
    if name == "os.open":
        return not any(dotted(argument) in ("os.devnull", "os.O_RDONLY") for argument in call.args)
    is_method = name not in OPENING
    if is_method and not name.endswith(".open"):
        return False
    if call.args and dotted(call.args[0]) in BUFFERS:
        return False
    named = [keyword.value for keyword in call.keywords if keyword.arg == "mode"]
    given = named or call.args[OPENING.get(name, 0) :][:1]
    if not given:
        return False
    mode = given[0]
    if isinstance(mode, ast.Constant):
        return isinstance(mode.value, str) and bool(set(mode.value) & set("wax+"))
    return not is_method  # a plugin's `open(run)` is no file's


def writes(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """(line, name) of each call that writes a file or a folder by its path."""
    names = imported_names(tree)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        head, dot, rest = dotted(node.func).partition(".")
        name = f"{names.get(head, head)}{dot}{rest}"
        last = name.rpartition(".")[2]
        of_storage = ".storage." in f".{name}"
        arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
        into_buffer = any(dotted(argument) in BUFFERS for argument in arguments)
        replaces = last == "replace" and "." in name and len(node.args) == 1 and not node.keywords
        drawn = last in ("savefig", "savez", "savez_compressed") or (last == "save" and bool(node.args))
        if of_storage or (into_buffer and (drawn or name in CALLS or last == "copyfileobj")):
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
        "import shutil; shutil.copy(a, b)",
        "shutil.copyfile(a, b)",
        "import numpy as np; np.savez(path, a=b)",
        "import numpy as np; np.save(path, a)",
        "from numpy import save; save(path, a)",
        "import numpy; numpy.lib.format.open_memmap(path, 'w+')",
        "from shutil import copy; copy(a, b)",
        "import shutil as files; files.copyfileobj(source, target)",
        "from os import makedirs; makedirs(path)",
        "import os as system; system.mkdir(path)",
        "(folder / 'a').open('w')",
        "Path(a).open(mode='a')",
        "open(path, 'w', newline='')",
        "csv.writer(path.open('w', newline=''))",
        "import zipfile; zipfile.ZipFile(path, 'w')",
        "from zipfile import ZipFile; ZipFile(path, mode='a')",
        "import tarfile; tarfile.open(path, 'w:gz')",
        "import gzip; gzip.open(path, 'wt')",
        "import lzma; lzma.open(path, mode)",
        "import wave; wave.open(path, 'wb')",
        "from io import FileIO; FileIO(path, 'w')",
        "from soundfile import SoundFile; SoundFile(path, 'w')",
        "import pickle; pickle.dump(a, open(path, 'wb'))",
        "import paddle; paddle.jit.save(layer, path)",
        "from paddle import save; save(a, path)",
        "plt.savefig(fname=path)",
        "table.to_csv(path)",
        "urllib.request.urlretrieve(url, path)",
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
        "import tarfile; tarfile.open(path)",
        "import tarfile; tarfile.open(path, 'r:gz')",
        "import zipfile; zipfile.ZipFile(path)",
        "import numpy as np; np.savez(file, a=b)",
        "figure.savefig(buffer, format='png')",
        "import copy; copy.copy(a)",
        "from copy import replace; replace(a, b=c)",
    ],
)
def test_what_writes_nothing_is_not(line):
    assert not list(writes(ast.parse(line)))
