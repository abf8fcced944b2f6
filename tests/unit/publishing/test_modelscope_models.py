"""A model goes to ModelScope and comes back: from a small server with its addresses."""

import modelscope_server
import numpy as np
import pytest
from modelscope_server import TOKEN
from small_parts import write_small_bundle

from pannsdist import load_model
from pannsdist.runtime.errors import BadBundle, UserError
from pannsdist.runtime.stores.hub import OFFLINE
from pannsdist.runtime.stores.patience import PATIENCE

pytestmark = pytest.mark.any_paddle
NOISE = np.random.default_rng(0).normal(0, 0.1, 4000)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """ModelScope without repositories, the token of somebody who may write, and a home without models."""
    pytest.importorskip("modelscope_hub", reason="not installed: pip install 'pannsdist[modelscope]'")
    monkeypatch.setenv("PANNSDIST_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MODELSCOPE_HOME", str(tmp_path / "modelscope"))
    monkeypatch.setenv("MODELSCOPE_API_TOKEN", TOKEN)
    monkeypatch.setenv(PATIENCE, "1")
    monkeypatch.delenv(OFFLINE, raising=False)
    with modelscope_server.running() as running:
        monkeypatch.setenv("MODELSCOPE_ENDPOINT", running.objects.url().rstrip("/"))
        yield running


def scores(model):
    return model.predict(NOISE, sample_rate_hz=8000)[0].scores


def test_what_is_published_answers_as_the_folder_does_and_then_without_a_network(hub, folder, run, monkeypatch):
    code, said, complaint = run("publish", "--model", folder, "--to", "modelscope://me/small", "--licence", "mit")
    assert code == 0, complaint
    assert "next: pannsdist predict --model modelscope://me/small FILE..." in said
    assert set(hub.files["me/small"]["master"]) == {"README.md", "SHA256SUMS", "bundle.json", "model.pdparams"}
    expected = scores(load_model(folder))
    assert scores(load_model("modelscope://me/small")) == expected
    hub.objects.asked.clear()
    monkeypatch.setenv(OFFLINE, "1")
    assert scores(load_model("modelscope://me/small")) == expected
    assert hub.objects.asked == []


def test_what_is_damaged_missing_or_forbidden_is_said_in_words(hub, folder, run, monkeypatch):
    assert run("publish", "--model", folder, "--to", "modelscope://me/small", "--private")[0] == 0
    for name in ("bundle.json", "model.pdparams"):
        hub.damaged = {name}
        with pytest.raises(BadBundle, match=f"{name} of modelscope://me/small came damaged"):
            load_model("modelscope://me/small")
    for place in ("modelscope://me/nothing", "modelscope://me/small@later"):
        with pytest.raises(UserError, match="no such repository or revision"):
            load_model(place)
    monkeypatch.setenv("MODELSCOPE_API_TOKEN", "")
    code, _, complaint = run("publish", "--model", folder, "--to", "modelscope://me/small")
    assert (code, "there is no token" in complaint) == (2, True)
    with pytest.raises(UserError, match="needs a token that may read it: MODELSCOPE_API_TOKEN"):
        load_model("modelscope://me/small")
    monkeypatch.setenv("MODELSCOPE_API_TOKEN", "ms-other")
    code, _, complaint = run("publish", "--model", folder, "--to", "modelscope://me/small")
    assert (code, "a token that may write there" in complaint, TOKEN in complaint) == (2, True, False), complaint


def test_a_private_model_does_not_go_into_a_public_repository(hub, folder, run):
    assert run("publish", "--model", folder, "--to", "modelscope://me/small")[0] == 0
    before = dict(hub.files["me/small"]["master"])
    write_small_bundle(folder, labels=("up", "down"))
    code, _, complaint = run("publish", "--model", folder, "--to", "modelscope://me/small", "--private")
    assert (code, "public; nothing was sent" in complaint) == (2, True), complaint
    assert hub.files["me/small"]["master"] == before
