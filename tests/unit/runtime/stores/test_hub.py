"""Files of a repository, from a small server with the addresses of the Hugging Face Hub."""

import hashlib
import json
import random
from urllib.parse import parse_qs

import object_server
import pytest

from pannsdist.runtime.errors import UserError
from pannsdist.runtime.stores import extras, hub, objects, urls
from pannsdist.runtime.stores.blocks import BLOCK_BYTES
from pannsdist.runtime.stores.failures import StoreError
from pannsdist.runtime.stores.patience import PATIENCE

SHA = "0123456789abcdef0123456789abcdef01234567"
CONTENT = random.Random(1).randbytes(BLOCK_BYTES + 77)
FILES = {"top/a.wav": CONTENT, "top/b/c d.wav": b"cc", "README.md": b"text"}


def entry(path):
    blob = hashlib.sha1(FILES[path]).hexdigest()
    return {"type": "file", "path": path, "size": len(FILES[path]), "oid": blob}


def answer(handler, content, status=200, **headers):
    named = {"Content-Type": "application/json", **{name.replace("_", "-"): text for name, text in headers.items()}}
    return handler.send(status, named, json.dumps(content).encode())


def hub_of(server):
    """Answers as the Hub does: the API, and redirects to another host for the bytes."""

    def respond(handler):
        path = handler.key
        if path in ("api/datasets/me/sounds", "api/datasets/me/sounds/revision/main"):
            return answer(handler, {"id": "me/sounds", "sha": SHA, "siblings": []})
        if path.startswith("api/datasets/me/sounds/paths-info/"):
            assert path.endswith(SHA)
            wanted = parse_qs(handler.sent.decode())["paths"]
            return answer(handler, [entry(name) for name in FILES if name in wanted])
        if path.startswith(f"api/datasets/me/sounds/tree/{SHA}"):
            folder = path.partition(SHA)[2].strip("/")
            return answer(handler, [entry(name) for name in FILES if name.startswith(folder)])
        if path.startswith("api/"):
            message = "not found"
            return answer(handler, {"error": message}, 404, X_Error_Code="RepoNotFound", X_Error_Message=message)
        prefix = f"datasets/me/sounds/resolve/{SHA}/"
        if path.startswith(prefix):
            target = f"http://localhost:{server.port}/cdn/{path.removeprefix(prefix)}"
            return handler.send(302, {"Location": target.replace(" ", "%20")})
        return False

    return respond


@pytest.fixture
def server(tmp_path, monkeypatch):
    pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed: pip install 'pannsdist[hf]'")
    monkeypatch.setenv("PANNSDIST_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_TOKEN", "hf_secretword")
    monkeypatch.setenv(PATIENCE, "20")
    monkeypatch.setattr(objects, "_asked", {})
    monkeypatch.setattr(hub, "_commits", {})
    with object_server.running() as running:
        for path, content in FILES.items():
            running.put(f"cdn/{path}", content)
        running.faults.append(hub_of(running))
        monkeypatch.setenv(hub.ENDPOINT, running.url().rstrip("/"))
        yield running


def test_lists_states_and_parts_at_one_commit(server):
    root = urls.parsed("hf://datasets/me/sounds/top")
    found = objects.listing(root)
    assert [name for name, _ in found] == ["a.wav", "b/c d.wav"]
    assert found[1][1] == objects.state_of(root / "b/c d.wav")
    with objects.ObjectReader(root / "a.wav", found[0][1]) as file:
        file.seek(BLOCK_BYTES + 3)
        assert file.read() == CONTENT[BLOCK_BYTES + 3 :]
    assert objects.read_bytes(root / "b/c d.wav") == b"cc"
    commits = [path for _, path, *_ in server.asked if path == "/api/datasets/me/sounds" or "/revision" in path]
    assert len(commits) == 1


def test_the_token_goes_to_the_hub_and_not_to_the_host_of_the_bytes(server):
    assert objects.read_bytes(urls.parsed("hf://datasets/me/sounds/README.md")) == b"text"
    sent = {one[1].split("/")[1]: one[3] for one in server.asked}
    assert sent["datasets"] == sent["api"] == "Bearer hf_secretword"
    assert sent["cdn"] == ""


def test_passing_faults_of_the_bytes_change_nothing(server):
    server.faults.insert(0, object_server.times(2, object_server.status(503)))
    assert objects.read_bytes(urls.parsed("hf://datasets/me/sounds/README.md")) == b"text"


def test_what_is_not_there_and_what_is_no_repository(server):
    assert server.port
    for name in ("hf://datasets/me/sounds/gone.wav", "hf://datasets/me/nothing/a.wav"):
        with pytest.raises(FileNotFoundError):
            objects.state_of(urls.parsed(name))
    with pytest.raises(StoreError, match="it is written as hf://datasets/OWNER/NAME/PATH"):
        objects.state_of(urls.parsed("hf://datasets/me"))


def test_a_library_that_is_not_installed_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(extras.LIBRARY, "oss", "no_such_library_of_a_store")
    with pytest.raises(UserError, match=r"pip install 'pannsdist\[oss\]'"):
        objects.state_of(urls.parsed("oss://bucket/a.wav"))
