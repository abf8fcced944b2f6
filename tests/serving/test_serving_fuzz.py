"""Seeded damage to requests: whatever comes, the answer has the one shape, and the server lives."""

import http.client
import json
import socket

import numpy as np
import pytest
import served
import sound_fuzz

FEW, MANY, PATIENCE_S = 200, 2000, 0.3
ROUTES = ("/v1/predict", "/v1/tag", "/v1/detect", "/v1/embed", "/predict/plain")
TEXTS = ("", "0", "-1", "1", "nan", "1e999", "plain", "none", "\x00", "\u00e9", "x" * 300, "[]", "null", "../../etc")
FIELDS = ("model", "topk", "threshold", "min_gap_s", "min_duration_s", "on_bad", "audio", "file", "data", "other")
STATUSES = {200, 400, 401, 404, 405, 408, 413, 415, 422, 431}


def request(seed, files):
    """The bytes of a request, most of them damaged somewhere: its sound, parameters, form, JSON, head or length."""
    random = np.random.default_rng(seed)
    sound = sound_fuzz.mutated(seed, files) if random.random() < 0.7 else files[int(random.integers(len(files)))]
    kind, body = _body(random, sound)
    if random.random() < 0.2:
        body = sound_fuzz.mutated(seed + 1_000_000, [body])
    route = ROUTES[int(random.integers(len(ROUTES)))]
    query = "?" + "&".join(f"{_any(random, FIELDS)}={_any(random, ('1', '0.5', 'plain'))}" for _ in range(2))
    head = f"POST {route}{query if random.random() < 0.3 else ''} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\n"
    length = len(body) if random.random() < 0.9 else int(random.integers(0, 2 * len(body) + 2))
    whole = f"{head}Content-Length: {length}\r\nConnection: close\r\n\r\n".encode("latin-1", "replace")
    if random.random() < 0.15:
        whole = sound_fuzz.mutated(seed + 2_000_000, [whole])
    return whole + body


def _body(random, sound):
    import base64

    choice = random.random()
    if choice < 0.3:
        return "audio/wav", sound
    fields = {_any(random, FIELDS): _any(random, TEXTS) for _ in range(int(random.integers(3)))}
    if choice < 0.6:
        key = "audio" if random.random() < 0.7 else "data"
        coded = base64.b64encode(sound).decode()
        record = {**fields, key: coded if random.random() < 0.5 else [coded, 3][: int(random.integers(3))]}
        return "application/json", json.dumps(record).encode()
    parts = [b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n' + sound]
    for name, text in fields.items():
        parts.append(f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}'.encode())
    return "multipart/form-data; boundary=b", b"\r\n".join([*parts, b"--b--\r\n"])


def _any(random, values):
    return values[int(random.integers(len(values)))]


def answer(server, content):
    """Status and body of the answer; None where the connection ends without one, since the length was a lie."""
    with server.connected() as connection:
        connection.sendall(content)
        connection.settimeout(PATIENCE_S)
        reply = http.client.HTTPResponse(connection)
        try:
            if not _has_begun(connection):
                connection.shutdown(socket.SHUT_WR)  # it waits for what was announced, and may do so for a minute
            connection.settimeout(served.END_S)
            reply.begin()
            return reply.status, reply.read()
        except (http.client.HTTPException, ConnectionError):
            return None


def _has_begun(connection):
    try:
        connection.recv(1, socket.MSG_PEEK)
    except TimeoutError:
        return False
    return True


def fuzz(server, sounds, seeds):
    files, statuses = [sound.read_bytes()[:60_000] for sound in sounds], {}
    for seed in seeds:
        if (found := answer(server, request(seed, files))) is None:
            statuses[None] = statuses.get(None, 0) + 1
            continue
        status, body = found
        statuses[status] = statuses.get(status, 0) + 1
        assert status in STATUSES, (seed, status, body[:300])
        record = json.loads(body) if body else {}
        assert status == 200 or set(record["error"]) <= {"code", "message", "hint"}, seed
    assert {200, 422} <= set(statuses)
    assert server.metric("pannsdist_requests_pending") == 0
    assert server.results("/v1/predict", sounds[0])
    assert "Traceback" not in server.errors
    return statuses


def test_two_hundred_damaged_requests_are_answered(server, sounds):
    fuzz(server, sounds, range(FEW))


@pytest.mark.long
def test_two_thousand_damaged_requests_are_answered(server, sounds):
    print(fuzz(server, sounds, range(MANY)))
