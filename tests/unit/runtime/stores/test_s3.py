"""Objects of a real S3 server on this machine, with faults in front of it."""

import random
import threading

import pytest

from pannsdist.runtime.stores import extras, objects, urls
from pannsdist.runtime.stores.blocks import BLOCK_BYTES
from pannsdist.runtime.stores.failures import ObjectChanged, StoreError
from pannsdist.runtime.stores.patience import PATIENCE

CONTENT = random.Random(1).randbytes(2 * BLOCK_BYTES + 99)


@pytest.fixture
def bucket(moto, tmp_path, monkeypatch):
    for name, value in {**moto.env, "PANNSDIST_HOME": str(tmp_path / "home"), PATIENCE: "20"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(objects, "_asked", {})
    monkeypatch.setattr(extras, "_opened", {})
    yield moto.put
    moto.clear()


def opened(text):
    url = urls.parsed(text)
    return objects.ObjectReader(url, objects.state_of(url))


def answered(code, name, **headers):
    """A fault that answers with a status, as S3 does."""
    body = f"<?xml version='1.0'?><Error><Code>{name}</Code><Message>no</Message></Error>".encode()

    def answer(_, start_response):
        listed = [(key.replace("_", "-"), value) for key, value in headers.items()]
        start_response(
            f"{code} {name}", [("Content-Type", "application/xml"), ("Content-Length", str(len(body))), *listed]
        )
        return [body]

    return answer


def times(count, fault):
    left = [count]

    def answer(environ, start_response):
        if left[0] <= 0 or environ["REQUEST_METHOD"] != "GET":
            return None
        left[0] -= 1
        return fault(environ, start_response)

    return answer


def half(_, start_response):
    """Says the whole length and sends half."""
    start_response("206 Partial Content", [("Content-Length", "1000"), ("Content-Range", "bytes 0-999/1000")])
    return [CONTENT[:500]]


def test_lists_states_and_parts(bucket, moto):
    for key in ("a/one.wav", "a/b/two three.wav", "c/other.wav"):
        bucket(key, CONTENT)
    found = objects.listing(urls.parsed("s3://sounds/a"))
    assert [name for name, _ in found] == ["b/two three.wav", "one.wav"]
    assert found[1][1] == objects.state_of(urls.parsed("s3://sounds/a/one.wav"))
    moto.asked.clear()
    with opened("s3://sounds/a/one.wav") as file:
        file.seek(BLOCK_BYTES + 1)
        assert file.read(10) == CONTENT[BLOCK_BYTES + 1 : BLOCK_BYTES + 11]
        assert [one[2] for one in moto.asked if one[0] == "GET"] == [f"bytes={BLOCK_BYTES}-{2 * BLOCK_BYTES - 1}"]
        file.seek(0)
        assert file.read() == CONTENT
    assert objects.listing(urls.parsed("s3://sounds/nothing")) == []


@pytest.mark.parametrize(
    "fault",
    [answered(503, "SlowDown"), answered(500, "InternalError"), answered(429, "TooMany", Retry_After="0"), half],
)
def test_a_passing_fault_changes_nothing(bucket, moto, fault):
    bucket("a.wav", CONTENT[:1000])
    moto.faults.append(times(2, fault))
    with opened("s3://sounds/a.wav") as file:
        assert file.read() == CONTENT[:1000]


@pytest.mark.parametrize("fault", [answered(503, "SlowDown"), half])
def test_a_fault_that_lasts_is_no_missing_object(bucket, moto, monkeypatch, fault):
    bucket("a.wav", CONTENT[:1000])
    url = urls.parsed("s3://sounds/a.wav")
    state = objects.state_of(url)
    monkeypatch.setenv(PATIENCE, "0.3")
    moto.faults.append(times(10**6, fault))
    with pytest.raises(StoreError, match="attempt") as caught, objects.ObjectReader(url, state) as file:
        file.read()
    assert "secret-word" not in str(caught.value)


def test_a_store_that_hangs_ends_by_a_time_out(bucket, moto, monkeypatch):
    bucket("a.wav", CONTENT[:1000])
    url, released = urls.parsed("s3://sounds/a.wav"), threading.Event()
    state = objects.state_of(url)
    monkeypatch.setenv(PATIENCE, "0.3")
    moto.faults.append(times(10**6, lambda *_: [] if released.wait(20) else None))
    try:
        with pytest.raises(StoreError, match=r"sent no data for 0\.3 s"), objects.ObjectReader(url, state) as file:
            file.read()
    finally:
        released.set()


def test_what_is_forbidden_or_missing_is_final(bucket, moto, monkeypatch):
    bucket("a.wav", CONTENT[:1000])
    with pytest.raises(FileNotFoundError, match=r"s3://sounds/gone\.wav"):
        opened("s3://sounds/gone.wav")
    with pytest.raises(FileNotFoundError):
        opened("s3://no-such-bucket/a.wav")
    with opened("s3://sounds/a.wav") as file:
        moto.faults.append(times(10**6, answered(403, "AccessDenied")))
        moto.asked.clear()
        with pytest.raises(PermissionError, match="AccessDenied"):
            file.read()
    assert len(moto.asked) == 1
    moto.faults.clear()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    with pytest.raises(PermissionError, match="give them as AWS_ACCESS_KEY_ID"):
        objects._state_now(urls.parsed("s3://sounds/a.wav"))


def test_an_object_that_changes_while_it_is_read_is_refused(bucket):
    bucket("a.wav", CONTENT)
    with opened("s3://sounds/a.wav") as file:
        file.read(10)
        bucket("a.wav", CONTENT[::-1])
        file.seek(BLOCK_BYTES)
        with pytest.raises(ObjectChanged):
            file.read(10)
