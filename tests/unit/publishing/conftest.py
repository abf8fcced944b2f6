"""A hub without repositories, a model folder whose plugin is installed, and that model on the hub."""

import hub_server
import pytest
from hub_server import WRITER
from small_parts import install, write_small_bundle

from pannsdist.runtime.stores import hub as store
from pannsdist.runtime.stores import objects
from pannsdist.runtime.stores.patience import PATIENCE

ENTRY = "[pannsdist.models]\nsmall = small_parts:SmallModel\n"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub without repositories, the token of somebody who may write, and a home without models."""
    known = pytest.importorskip("huggingface_hub.constants", reason="not installed: pip install 'pannsdist[hf]'")
    monkeypatch.setattr(known, "HF_HUB_DISABLE_XET", True, raising=False)  # this server knows large files of git alone
    monkeypatch.setattr(known, "HF_TOKEN_PATH", str(tmp_path / "no_token"))
    monkeypatch.setenv("PANNSDIST_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_TOKEN", WRITER)
    monkeypatch.setenv(PATIENCE, "1")
    monkeypatch.delenv(store.OFFLINE, raising=False)
    monkeypatch.setattr(objects, "_asked", {})
    monkeypatch.setattr(store, "_commits", {})
    with hub_server.running() as running:
        monkeypatch.setenv(store.ENDPOINT, running.objects.url().rstrip("/"))
        monkeypatch.setattr(known, "ENDPOINT", running.objects.url().rstrip("/"))  # as if it was imported just now
        yield running


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A model folder whose plugin is installed."""
    install(tmp_path / "site", "small-parts", ENTRY)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    write_small_bundle(tmp_path / "run" / "best_model")
    return tmp_path / "run" / "best_model"


@pytest.fixture
def published(hub, folder, run):
    """The commit of this model on the hub."""
    assert not hub.repositories
    code, said, complaint = run("publish", "--model", folder, "--to", "hf://me/small", "--licence", "MIT")
    assert code == 0, complaint
    return said.partition("commit ")[2].partition(",")[0]
