"""Objects of a real web server on this machine: what is read, how often it is asked, and every fault of a server."""

import io
import random

import object_server as serving
import pytest

from pannsdist.runtime.errors import SettingsError, UserError
from pannsdist.runtime.stores import objects, urls
from pannsdist.runtime.stores.blocks import BLOCK_BYTES
from pannsdist.runtime.stores.failures import ObjectChanged, StoreError
from pannsdist.runtime.stores.patience import PATIENCE

CONTENT = random.Random(1).randbytes(3 * BLOCK_BYTES + 12345)
SMALL = CONTENT[:5000]


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv("PANNSDIST_HOME", str(tmp_path / "home"))
    monkeypatch.setenv(PATIENCE, "20")
    monkeypatch.setattr(objects, "_asked", {})
    with serving.running() as running:
        yield running


def opened(url):
    parsed = urls.parsed(url)
    return objects.ObjectReader(parsed, objects.state_of(parsed))


def test_parts_are_those_of_the_object_wherever_they_lie(server):
    url = server.put("a.bin", CONTENT)
    generator = random.Random(2)
    with opened(url) as file:
        for _ in range(40):
            start = generator.randrange(len(CONTENT) + 10)
            count = generator.choice((1, 100, BLOCK_BYTES, 2 * BLOCK_BYTES + 1))
            file.seek(start)
            assert file.read(count) == CONTENT[start : start + count]
        assert file.seek(-5, io.SEEK_END) == len(CONTENT) - 5
        assert file.read() == CONTENT[-5:]
        assert file.read(1) == b""


def test_a_small_object_costs_one_request_for_its_state_and_one_for_its_bytes_and_none_again(server):
    url = server.put("a.bin", SMALL)
    for _ in range(3):
        with opened(url) as file:
            assert file.read() == SMALL
    assert [one[0] for one in server.asked] == ["HEAD", "GET"]


def test_of_a_large_object_only_the_blocks_that_are_read_are_fetched(server):
    with opened(server.put("a.bin", CONTENT)) as file:
        file.seek(2 * BLOCK_BYTES + 10)
        file.read(100)
    assert server.asked[1][2] == f"bytes={2 * BLOCK_BYTES}-{3 * BLOCK_BYTES - 1}"
    assert server.count("GET") == 1


def test_many_states_are_asked_at_once_and_a_missing_object_is_none_of_them(server):
    known = [urls.parsed(server.put(f"{number}.bin", bytes(number + 1))) for number in range(40)]
    gone = urls.parsed(server.url("gone.bin"))
    found = objects.states_of([*known, gone, *known])
    assert [found[url].size_bytes for url in known] == list(range(1, 41))
    assert found[gone] is None
    assert (server.count("HEAD"), server.count("GET")) == (41, 0)


@pytest.mark.parametrize(
    "fault",
    [
        serving.status(429, Retry_After="0"),
        serving.status(500),
        serving.status(503),
        serving.reset,
        serving.half,
        serving.other_length,
    ],
)
def test_a_passing_fault_changes_nothing(server, fault):
    url = server.put("a.bin", SMALL)
    server.faults.append(serving.times(2, fault))
    with opened(url) as file:
        assert file.read() == SMALL
    assert server.count("GET") == 3


@pytest.mark.parametrize("fault", [serving.status(503), serving.reset, serving.half, serving.other_length])
def test_a_fault_that_lasts_ends_with_what_it_was_and_is_no_missing_file(server, monkeypatch, fault):
    monkeypatch.setenv(PATIENCE, "0.4")
    url = server.put("a.bin", SMALL)
    server.faults.append(serving.times(10**6, fault))
    with pytest.raises(StoreError, match="attempt") as caught, opened(url) as file:
        file.read()
    assert not isinstance(caught.value, FileNotFoundError | PermissionError)
    assert caught.value.filename == url
    assert server.count("GET") > 1


@pytest.mark.parametrize("fault", [serving.hang, serving.drip])
def test_a_server_that_hangs_ends_by_a_time_out(server, monkeypatch, fault):
    monkeypatch.setenv(PATIENCE, "0.3")
    url = server.put("a.bin", CONTENT[:BLOCK_BYTES])
    server.faults.append(serving.times(10**6, fault))
    with pytest.raises(StoreError, match=r"(in|for) 0\.3 s"), opened(url) as file:
        file.read()


def test_a_wait_that_the_server_asks_for_and_that_is_too_long_is_named(server):
    server.faults.append(serving.times(10**6, serving.status(429, Retry_After="3600")))
    with pytest.raises(StoreError, match="asks to wait 3600 s"), opened(server.put("a.bin", SMALL)) as file:
        file.read()
    assert server.count("GET") == 1


@pytest.mark.parametrize(("code", "kind"), [(403, PermissionError), (401, PermissionError), (404, FileNotFoundError)])
def test_what_is_forbidden_or_missing_is_not_asked_for_again(server, code, kind):
    url = server.put("a.bin", SMALL) + "?token=abcdef&part=1"
    server.faults.append(lambda handler: handler.send(code, {}))
    with pytest.raises(kind) as caught:
        opened(url)
    assert "abcdef" not in str(caught.value)
    assert caught.value.filename.endswith("a.bin?token=***&part=1")
    assert len(server.asked) <= 2


@pytest.mark.parametrize("has_tags", [True, False])
def test_an_object_that_changes_while_it_is_read_is_refused(server, has_tags):
    server.has_tags = has_tags
    url = server.put("a.bin", CONTENT)
    if not has_tags:
        server.headers["a.bin"] = {"Last-Modified": "Sat, 28 Nov 2026 10:00:00 GMT"}
    with opened(url) as file:
        file.read(10)
        server.put("a.bin", CONTENT[::-1])
        if not has_tags:
            server.headers["a.bin"] = {"Last-Modified": "Sat, 28 Nov 2026 11:00:00 GMT"}
        file.seek(2 * BLOCK_BYTES)
        with pytest.raises(ObjectChanged, match="changed while it was read"):
            file.read(10)


def test_an_object_that_grows_or_shrinks_is_refused_even_without_a_version(server):
    server.has_tags = False
    url = server.put("a.bin", CONTENT)
    with opened(url) as file:
        server.put("a.bin", CONTENT[:-1])
        with pytest.raises(ObjectChanged):
            file.read(10)


def test_without_a_version_nothing_is_kept_for_others(server, tmp_path):
    server.has_tags = False
    url = server.put("a.bin", SMALL)
    with opened(url) as file:
        assert file.read() == SMALL
    assert not (tmp_path / "home" / "blocks").exists()
    one, other = (objects._state_now(urls.parsed(url)) for _ in range(2))
    assert one != other


@pytest.mark.parametrize("has_ranges", [True, False])
@pytest.mark.parametrize("has_head", [True, False])
def test_servers_without_ranges_or_head(server, has_ranges, has_head):
    server.has_ranges, server.has_head = has_ranges, has_head
    with opened(server.put("a.bin", CONTENT)) as file:
        file.seek(BLOCK_BYTES + 5)
        assert file.read(3) == CONTENT[BLOCK_BYTES + 5 : BLOCK_BYTES + 8]
        file.seek(0)
        assert file.read() == CONTENT
    with opened(server.put("empty.bin", b"")) as file:
        assert file.read() == b""
    if not has_ranges:
        assert sum("a.bin" in one[1] for one in server.asked if one[0] == "GET") == (1 if has_head else 2)


def test_redirects_keep_to_http_end_and_take_no_credentials_along(server, monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine localhost login me password secret-word\n")
    monkeypatch.setenv("NETRC", str(netrc))
    url = server.put("b.bin", SMALL)
    target = {"a.bin": server.url("b.bin"), "loop.bin": server.url("loop.bin"), "file.bin": "file:///etc/passwd"}

    def move(handler):
        return handler.key in target and handler.send(302, {"Location": target[handler.key]})

    server.faults.append(move)
    start = f"http://localhost:{server.port}/"
    with opened(f"{start}a.bin") as file:
        assert file.read() == SMALL
    assert {bool(one[3]) for one in server.asked if one[1] == "/a.bin"} == {True}, "the host of ~/.netrc gets them"
    assert {bool(one[3]) for one in server.asked if one[1] == "/b.bin"} == {False}, "another host does not"
    with pytest.raises(StoreError, match="more than 10 times"):
        opened(f"{start}loop.bin")
    with pytest.raises(StoreError, match="redirects to file:///etc/passwd, which is no address of http"):
        opened(f"{start}file.bin")
    assert url.endswith("b.bin")


def test_a_page_in_place_of_a_sound_and_coded_content_are_refused(server):
    server.put("a.wav", b"<html>log in</html>")
    server.headers["a.wav"] = {"Content-Type": "text/html; charset=utf-8"}
    with pytest.raises(StoreError, match="HTML page"):
        opened(server.url("a.wav"))
    server.put("b.wav", SMALL)
    server.headers["b.wav"] = {"Content-Encoding": "gzip"}
    with pytest.raises(StoreError, match="content coding gzip"):
        opened(server.url("b.wav"))


@pytest.mark.usefixtures("server")
def test_nobody_listens(monkeypatch):
    monkeypatch.setenv(PATIENCE, "0.2")
    with pytest.raises(StoreError, match="the connection failed"):
        opened("http://127.0.0.1:9/a.wav")


def test_the_patience_is_a_number(server, monkeypatch):
    monkeypatch.setenv(PATIENCE, "soon")
    with pytest.raises(SettingsError, match="'soon'"):
        opened(server.put("a.bin", SMALL))


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("https://me:secret-word@host/a.wav", "has a user or a password in it"),
        ("s3://KEY:secret-word@bucket/a.wav", "has a user or a password in it"),
        ("ftp://host/a.wav", "is in no store that can be read"),
        ("file:///etc/passwd", "is in no store that can be read"),
        ("https:///a.wav", "is no URL of an object"),
        ("https://host/../a.wav", "is no URL of an object"),
        ("s3://", "is no URL of an object"),
    ],
)
def test_urls_that_are_refused(text, wrong):
    with pytest.raises(UserError, match=wrong) as caught:
        urls.parsed(text, "data.params.root")
    assert "secret-word" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["", "/etc/passwd", "../a", "a/../../b", "a//b", "https://other/a", "a\\b", "./a", "a\0"]
)
def test_names_that_climb_out_of_the_root_are_refused(name):
    assert urls.leads_out(name)
    with pytest.raises(ValueError, match=r"is not|has an empty|is empty"):
        urls.parsed("https://host/top/") / name


def test_a_name_is_a_name_and_the_query_of_the_root_goes_with_it():
    url = urls.parsed("https://host/top/?sig=abc") / "dog #1?.wav"
    assert url.address == "https://host/top/dog%20%231%3F.wav?sig=abc"
    assert str(url) == "https://host/top/dog%20%231%3F.wav?sig=***"
    assert "abc" not in repr(url)
    assert (url.name, url.suffix, str(url.relative_to(urls.parsed("https://host/top/?sig=abc")))) == (
        "dog #1?.wav",
        ".wav",
        "dog #1?.wav",
    )
    assert (urls.parsed("s3://bucket/x") / "a b?.wav").address == "s3://bucket/x/a b?.wav"
