"""Every status of the server, in its one shape."""

import io
from contextlib import suppress

import numpy as np
import pytest
import requests
import served
import soundfile
from served import answer_on

TOKEN = "a-token_of.letters~9"


def wav(samples, rate_hz=8000, subtype="FLOAT"):
    file = io.BytesIO()
    soundfile.write(file, samples, rate_hz, format="WAV", subtype=subtype)
    return file.getvalue()


GOOD = wav(np.sin(np.arange(4000) / 3).astype(np.float32))
NOT_A_NUMBER = wav(np.where(np.arange(4000) == 1000, np.nan, 0.1).astype(np.float32))


@pytest.fixture(scope="module")
def strict(folders, environment):
    """A server with a token and low limits."""
    limits = ("--max-body-mb", "1", "--max-length-s", "300", "--timeout-s", "1", "--max-queue", "2")
    options = ("--model", folders["plain"], "--engine", "dygraph", "--cors", "https://example.org", *limits)
    with served.Server(*options, env={**environment, "PANNSDIST_TOKEN": TOKEN}) as running:
        yield running
        assert "Traceback" not in running.errors


@pytest.fixture
def allowed(strict):
    """The same server, with the token in every request."""
    strict.session.headers["Authorization"] = f"Bearer {TOKEN}"
    yield strict
    del strict.session.headers["Authorization"]


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        (b"no sound at all", "bad_sound", "cannot decode"),
        (b"", "bad_sound", "empty"),
        (NOT_A_NUMBER, "bad_sound", "NaN"),
        (wav(np.zeros(0, np.float32)), "bad_sound", "no samples"),
        (wav(np.full(4000, 30000, np.float32)), "bad_sound", "integers"),
        (GOOD.replace((8000).to_bytes(4, "little"), (1).to_bytes(4, "little"), 1), "bad_sound", "sample rate"),
    ],
    ids=["text", "empty", "nan", "no-samples", "integers", "rate"],
)
@pytest.mark.parametrize("route", ["predict", "tag", "detect", "embed"])
def test_what_is_no_sound_is_422_with_its_reason(server, route, content, code, said):
    reply = server.post(f"/v1/{route}", ("some.wav", content))
    assert (reply.status, reply.code) == (422, code)
    assert "some.wav" in reply.record["error"]["message"]
    assert said in reply.record["error"]["message"]


@pytest.mark.parametrize(
    ("route", "fields", "said"),
    [
        ("predict", {"topk": 0}, "topk"),
        ("predict", {"topk": "many"}, "topk"),
        ("predict", {"tpk": 1}, "tpk"),
        ("predict", {"threshold": 0.5}, "threshold"),
        ("tag", {"threshold": 0}, "threshold"),
        ("tag", {"threshold": "nan"}, "threshold"),
        ("detect", {"min_gap_s": -1}, "min_gap_s"),
        ("detect", {"min_duration_s": "inf"}, "min_duration_s"),
        ("predict", {"on_bad": "ignore"}, "on_bad"),
    ],
)
def test_a_parameter_that_is_wrong_is_422_and_named(server, route, fields, said):
    reply = server.post(f"/v1/{route}", ("good.wav", GOOD), **fields)
    assert (reply.status, reply.code) == (422, "bad_parameter")
    assert said in reply.record["error"]["message"]


@pytest.mark.parametrize(
    ("how", "status", "code"),
    [
        ({"json": {}}, 422, "no_sound"),
        ({"json": {"audio": "!"}}, 422, "bad_body"),
        ({"json": {"audio": [1]}}, 422, "bad_body"),
        ({"json": {"audio": "AAAA", "topk": 1, "model": 3}}, 422, "bad_parameter"),
        ({"json": [1]}, 422, "bad_body"),
        ({"data": b"{", "headers": {"Content-Type": "application/json"}}, 422, "bad_body"),
        ({"data": b"[" * 100_000, "headers": {"Content-Type": "application/json"}}, 422, "bad_body"),
        ({"data": b"x", "headers": {"Content-Type": "multipart/form-data"}}, 422, "bad_body"),
        ({"data": b"x", "headers": {"Content-Type": "multipart/form-data; boundary=a"}}, 422, "bad_body"),
        ({"files": {"other": b"x"}}, 422, "no_sound"),
        ({"data": {"file": "x"}}, 415, "unsupported_media_type"),
        ({"data": b"x", "headers": {"Content-Type": "text/plain"}}, 415, "unsupported_media_type"),
        ({"data": b""}, 415, "unsupported_media_type"),
        ({"data": GOOD, "headers": {"Content-Type": "audio/wav"}, "params": {"model": "none"}}, 404, "unknown_model"),
        ({"data": GOOD, "headers": {"Content-Type": "audio/wav"}, "params": "topk=1&topk=2"}, 422, "bad_parameter"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(server, how, status, code):
    reply = server.ask("POST", "/v1/predict", **how)
    assert (reply.status, reply.code) == (status, code)


def test_unknown_addresses_and_methods_have_the_same_shape(server):
    assert [(r.status, r.code) for r in (server.ask("GET", "/v1/none"), server.ask("GET", "/v1/predict"))] == [
        (404, "not_found"),
        (405, "method_not_allowed"),
    ]
    reply = server.ask("DELETE", "/v1/models")
    assert (reply.status, reply.code, reply.headers["allow"]) == (405, "method_not_allowed", "GET")
    assert server.ask("GET", "/docs/files/../../../etc/passwd").status == 404
    assert server.ask("GET", "/%2e%2e/%2e%2e/etc/passwd").status == 404


@pytest.mark.parametrize("given", [None, "", "Bearer", f"Bearer {TOKEN}x", f"Basic {TOKEN}", "Bearer \xe9", TOKEN])
def test_without_the_token_nothing_is_answered_but_health(strict, given):
    headers = {} if given is None else {"Authorization": given.encode("latin-1")}
    for method, path in (("POST", "/v1/predict"), ("GET", "/v1/models"), ("GET", "/metrics"), ("POST", "/predict/x")):
        reply = strict.ask(method, path, headers=headers)
        assert (reply.status, reply.code) == (401, "unauthorized")
        assert reply.headers["WWW-Authenticate"].startswith("Bearer")
    assert [strict.ask("GET", path, headers=headers).status for path in ("/healthz", "/readyz")] == [200, 200]


def test_with_the_token_all_is_answered(allowed):
    assert allowed.post("/v1/predict", ("good.wav", GOOD)).status == 200
    assert allowed.metric("pannsdist_requests_total") > 0


def test_only_the_web_sites_that_were_named_may_call(server, allowed):
    def origin(running, site):
        return running.ask("GET", "/healthz", headers={"Origin": site}).headers.get("access-control-allow-origin")

    assert origin(server, "https://example.org") is None
    assert origin(allowed, "https://example.org") == "https://example.org"
    assert origin(allowed, "https://example.com") is None
    headers = {"Origin": "https://example.org", "Access-Control-Request-Method": "POST"}
    with requests.options(f"{allowed.address}/v1/predict", headers=headers, timeout=60) as asked:
        assert (asked.status_code, asked.headers["access-control-allow-methods"]) == (200, "GET, POST")


def test_a_large_body_is_413_by_its_announced_length(allowed):
    reply = allowed.post("/v1/predict", ("large.wav", bytes(1_000_001)))
    assert (reply.status, reply.code) == (413, "body_too_large")


def test_two_gigabytes_without_a_length_are_refused_once_they_are_too_many(strict):
    sent, before = 0, _memory(strict)
    with strict.connected() as connection:
        head = f"POST /v1/predict HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: audio/wav\r\n"
        connection.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        connection.setblocking(False)
        chunk = b"10000\r\n" + bytes(65536) + b"\r\n"
        received, pending = b"", b""
        while sent < 2 << 30 and not received:
            with suppress(BlockingIOError):
                pending = pending or chunk
                count = connection.send(pending)
                pending, sent = pending[count:], sent + count
            with suppress(BlockingIOError):
                received = connection.recv(65536)
    assert received.startswith(b"HTTP/1.1 413 ")
    assert sent < 64 << 20
    assert _memory(strict) - before < 64 << 20


def _memory(server):
    import psutil

    return psutil.Process(server.process.pid).memory_info().rss


def test_a_sound_over_the_length_limit_is_413(allowed, tmp_path):
    path = tmp_path / "long.flac"
    soundfile.write(path, np.zeros(301 * 1000, np.int16), 1000)
    reply = allowed.post("/v1/predict", path)
    assert (reply.status, reply.code) == (413, "sound_too_long")
    reply = allowed.post("/v1/predict", *(("short.wav", GOOD[:600]) for _ in range(65)))
    assert (reply.status, reply.code) == (413, "too_many_sounds")


def test_an_answer_that_takes_too_long_is_504_and_its_place_is_free_again(allowed, slow):
    reply = allowed.post("/v1/predict", slow)
    assert (reply.status, reply.code) == (504, "time_limit")
    allowed.wait_for("pannsdist_requests_pending", 0)
    assert allowed.post("/v1/predict", ("good.wav", GOOD)).status == 200


def test_a_slow_sender_is_408_and_a_full_queue_429(allowed):
    head = f"POST /v1/predict HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: audio/wav\r\n"
    senders = [allowed.connected() for _ in range(2)]
    for sender in senders:
        sender.sendall(f"{head}Content-Length: 5000\r\n\r\nRIFF".encode())
    allowed.wait_for("pannsdist_requests_pending", 2)
    reply = allowed.post("/v1/predict", ("good.wav", GOOD))
    assert (reply.status, reply.code, reply.headers["Retry-After"]) == (429, "queue_full", "1")
    for sender in senders:
        status, record = answer_on(sender)
        sender.close()
        assert (status, record["error"]["code"]) == (408, "slow_request")
    allowed.wait_for("pannsdist_requests_pending", 0)
    assert allowed.post("/v1/predict", ("good.wav", GOOD)).status == 200


def test_a_client_that_leaves_frees_its_place(allowed, slow):
    content = slow.read_bytes()
    head = f"POST /v1/predict HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: audio/flac\r\n"
    with allowed.connected() as leaving:
        leaving.sendall(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
        allowed.wait_for("pannsdist_requests_pending", 1)
    allowed.wait_for("pannsdist_requests_pending", 0)


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "bad_request"),
        (b"GET / HTTP/9.9\r\n\r\n", 400, "bad_request"),
        (b"POST /v1/predict HTTP/1.1\r\nContent-Length: -5\r\n\r\n", 400, "bad_request"),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 400_000, 431, "head_too_large"),
    ],
    ids=["tls", "version", "length", "head"],
)
def test_what_is_no_http_is_refused_in_json(server, sent, status, code):
    with server.connected() as connection:
        connection.sendall(sent)
        found, record = answer_on(connection)
    assert (found, record["error"]["code"]) == (status, code)
