"""Published weights are downloaded once, whole and verified, or not at all, and what to do is said."""

import errno
import fcntl
import hashlib
import subprocess
import sys
import threading
import time

import disk_calls
import faulty_disk
import pytest
import serving

from pannsdist.contracts import FrontEnd, Pretrained
from pannsdist.runtime import user_folder
from pannsdist.runtime.errors import BadWeightsFile
from pannsdist.weights.downloads.fetch import exclusive, fetch, previous_error

pytestmark = pytest.mark.usefixtures("home")
FRONT_END = FrontEnd("logmel", 32000, 1024, 320, 1024, 64, 50.0, 14000.0)
DATA = bytes(range(256)) * 4096
SHA256 = hashlib.sha256(DATA).hexdigest()


def published(url, sha256=SHA256, size_bytes=0):
    return Pretrained(url, sha256, FRONT_END, 527, "MIT", "a test", size_bytes)


def refusal(weights, timeout_s=5.0):
    with pytest.raises(BadWeightsFile) as caught:
        fetch(weights, timeout_s)
    return str(caught.value)


def seen(home):
    """The files in the cache, but for locks."""
    return sorted(path.name for path in home.iterdir() if not path.name.endswith(".lock"))


def test_a_file_is_downloaded_verified_and_not_asked_for_again(home, server, capsys):
    weights = published(server.serve("/files/net=0.4.pth", serving.whole(DATA)) + "?download=1", size_bytes=len(DATA))
    assert fetch(weights) == fetch(weights) == home / "net=0.4.pth"
    assert (home / "net=0.4.pth").read_bytes() == DATA
    assert server.asked == ["/files/net=0.4.pth?download=1"]
    assert seen(home) == ["net=0.4.pth"]
    assert capsys.readouterr().err == f"downloading {weights.url} (1.0 MB)\n  to {home / 'net=0.4.pth'}\n"


def test_an_address_with_escapes_gives_the_plain_name(server):
    server.serve("/files/net%3D0.4.pth", serving.whole(DATA))
    assert fetch(published(server.url("/files/net%3D0.4.pth"))).name == "net=0.4.pth"


def test_half_a_file_is_never_taken_for_the_whole(home, server):
    weights = published(server.serve("/net.pth", serving.half(DATA)))
    said = refusal(weights)
    assert said.startswith(
        f"net.pth could not be downloaded: the connection was interrupted after {len(DATA) // 2} bytes\n"
    )
    assert f"  URL: {weights.url}\n  without network access, copy the file to {home / 'net.pth'}\n" in said
    assert seen(home) == []
    server.serve("/net.pth", serving.whole(DATA))
    assert fetch(weights).read_bytes() == DATA


def test_half_a_file_is_noticed_without_a_checksum_too(home, server):
    assert "was interrupted" in refusal(published(server.serve("/net.pth", serving.half(DATA)), sha256=""))
    said = refusal(published(server.serve("/other.pth", serving.without_length(DATA)), sha256=""))
    assert "the server did not report the size, and no checksum is published" in said
    said = refusal(published(server.serve("/third.pth", serving.without_length(DATA)), "", len(DATA) + 1))
    assert f"{len(DATA)} of {len(DATA) + 1} bytes" in said
    assert seen(home) == []


def test_what_a_killed_process_left_is_begun_anew(home, server):
    home.mkdir(parents=True)
    (home / "net.pth.part").write_bytes(DATA[:1000])
    assert fetch(published(server.serve("/net.pth", serving.whole(DATA)))).read_bytes() == DATA
    assert seen(home) == ["net.pth"]


def test_a_wrong_file_is_refused_and_not_kept(home, server):
    weights = published(server.serve("/net.pth", serving.whole(b"not found")))
    said = refusal(weights)
    assert hashlib.sha256(b"not found").hexdigest() in said
    assert f"expected {SHA256}, as published: remove it and fetch {weights.url} again" in said
    assert seen(home) == []


def test_every_digit_of_a_checksum_counts(home, server):
    digit = "0" if SHA256[-1] != "0" else "1"
    weights = published(server.serve("/net.pth", serving.whole(DATA)), sha256=SHA256[:-1] + digit)
    assert f"has sha256 {SHA256}\n" in refusal(weights)
    assert seen(home) == []


def test_a_page_is_not_taken_for_a_file_whose_checksum_nobody_published(home, server):
    weights = published(server.serve("/net.pth", serving.whole(b"<html><body>sign in</body></html>")), sha256="")
    said = refusal(weights)
    assert said.startswith("net.pth could not be downloaded: the server sent an HTML page in place of the file\n")
    assert seen(home) == []


def test_a_file_that_was_damaged_on_this_machine_is_refused(home, server):
    weights = published(server.serve("/net.pth", serving.whole(DATA)))
    fetch(weights).write_bytes(DATA[:-1])
    assert f"{home / 'net.pth'} has sha256 " in refusal(weights)
    assert len(server.asked) == 1


def test_a_server_that_falls_silent_is_given_up(home, server):
    released = threading.Event()
    weights = published(server.serve("/net.pth", serving.stalling(DATA, released)))
    began = time.monotonic()
    said = refusal(weights, timeout_s=0.3)
    released.set()
    assert time.monotonic() - began < 5
    assert "the server sent no data for 0.3 s, after " in said
    assert seen(home) == []


def test_a_missing_file_is_said_with_the_servers_answer(home, server):
    assert "net.pth could not be downloaded: the server responded 404 Not Found" in refusal(
        published(server.url("/net.pth"))
    )
    assert seen(home) == []


def test_without_a_network_it_is_said_which_file_to_put_where(home, server):
    url = server.url("/net.pth").replace(str(server.port), "9")
    said = refusal(published(url))
    assert "net.pth could not be downloaded: no connection (Connection refused)" in said
    assert said.splitlines()[1:] == [
        f"  URL: {url}",
        f"  without network access, copy the file to {home / 'net.pth'}",
        "  or give a file: model.weights=FILE",
    ]
    (home / "net.pth").write_bytes(DATA)
    assert fetch(published(url)) == home / "net.pth"


def test_where_no_checksum_is_published_the_first_download_is_pinned(home, server, capsys):
    weights = published(server.serve("/net.pth", serving.whole(DATA)), sha256="")
    path = fetch(weights)
    pin = home / "net.pth.sha256"
    assert f"no checksum is published for net.pth: its current checksum is stored in {pin}\n" in capsys.readouterr().err
    assert pin.read_text() == f"# {weights.url}\n{SHA256}  net.pth\n"
    checked = subprocess.run(["sha256sum", "-c", pin.name], cwd=home, capture_output=True, text=True, check=True)
    assert checked.stdout == "net.pth: OK\n"
    path.unlink()
    server.serve("/net.pth", serving.whole(DATA[::-1]))
    said = refusal(weights)
    assert f"it was {SHA256} at the first download, stored in {pin}\n" in said
    assert seen(home) == ["net.pth.sha256"]
    assert capsys.readouterr().err.count("no checksum") == 0


def test_a_file_that_was_brought_by_hand_is_pinned_when_it_is_first_used(home, server):
    home.mkdir(parents=True)
    (home / "net.pth").write_bytes(DATA)
    weights = published(server.url("/net.pth"), sha256="")
    assert fetch(weights) == home / "net.pth"
    (home / "net.pth").write_bytes(DATA[::-1])
    assert "at the first download" in refusal(weights)
    assert server.asked == []


def test_two_unchecked_files_of_one_name_are_not_mixed_up(server):
    one = published(server.serve("/one/net.pth", serving.whole(DATA)), sha256="")
    two = published(server.serve("/two/net.pth", serving.whole(DATA)), sha256="")
    fetch(one)
    assert f"was downloaded from {one.url}, not from {two.url}" in refusal(two)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://host/net.pth", "net.pth", "https:///net.pth"])
def test_only_https_and_http_addresses_are_fetched(url):
    assert refusal(published(url)) == (
        f"weights can be fetched over https and http only, not from {url!r}\n  fix the plugin"
    )


@pytest.mark.parametrize("path", ["/", "/..", "/a/%2e%2e", "/.hidden", "/a/..%2f..", "/net%00.pth", "/net%0a.pth"])
def test_an_address_without_a_plain_file_name_is_refused(path):
    assert "does not end in a file name" in refusal(published(f"http://127.0.0.1:9{path}"))


def test_a_file_lands_in_the_cache_whatever_address_and_server_call_it(home, server, tmp_path):
    answer = serving.whole(DATA, Content_Disposition='attachment; filename="../../evil.pth"')
    server.serve("/..%2F..%2Fnet.pth", answer)
    assert fetch(published(server.url("/..%2F..%2Fnet.pth"))) == home / "net.pth"
    server.serve("/other.pth", serving.moved(server.serve("/somewhere/else.pth", answer)))
    assert fetch(published(server.url("/other.pth"))) == home / "other.pth"
    server.serve("/local.pth", serving.moved("file:///etc/passwd"))
    assert "local.pth could not be downloaded" in refusal(published(server.url("/local.pth")))
    assert sorted(path.name for path in tmp_path.rglob("*.pth")) == ["net.pth", "other.pth"]


FETCHING = """
import sys
from pannsdist.contracts import FrontEnd, Pretrained
from pannsdist.runtime.errors import UserError
from pannsdist.weights.downloads.fetch import fetch
front_end = FrontEnd("logmel", 32000, 1024, 320, 1024, 64, 50.0, 14000.0)
try:
    print(fetch(Pretrained(sys.argv[1], sys.argv[2], front_end, 527, "MIT", "a test"), 120.0))
except UserError as error:
    print(error.wrong)
"""


def at_once(count, url, sha256, told):
    """What so many processes answer; what they say meanwhile goes to the file `told`."""
    command = [sys.executable, "-c", FETCHING, url, sha256]
    with told.open("a") as errors:
        started = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) for _ in range(count)]
        return [process.communicate(timeout=240)[0].strip() for process in started]


def late(answer, told):
    """The answer, given when another process waits for it."""

    def wait_and_answer(handler):
        end = time.monotonic() + 100
        while "waiting for" not in told.read_text() and time.monotonic() < end:
            time.sleep(0.05)
        answer(handler)

    told.touch()
    return wait_and_answer


@pytest.mark.parametrize("sha256", [SHA256, ""])
def test_of_two_processes_one_downloads_and_the_other_waits(home, server, tmp_path, sha256):
    told = tmp_path / "told"
    said = at_once(2, server.serve("/net.pth", late(serving.whole(DATA), told)), sha256, told)
    assert said == [str(home / "net.pth")] * 2
    assert server.asked == ["/net.pth"]
    assert told.read_text().count("downloading") == 1
    assert told.read_text().count("waiting for another process that downloads net.pth") == 1


def test_who_waited_for_a_failure_has_it_too_and_does_not_ask_the_server_again(server, tmp_path):
    told = tmp_path / "told"
    said = at_once(2, server.serve("/net.pth", late(serving.half(DATA), told)), SHA256, told)
    assert said == [f"net.pth could not be downloaded: the connection was interrupted after {len(DATA) // 2} bytes"] * 2
    assert server.asked == ["/net.pth"]
    server.serve("/net.pth", serving.whole(DATA))
    assert fetch(published(server.url("/net.pth"))).read_bytes() == DATA, "a later process tries anew"


def test_a_file_system_without_locks_is_refused_by_what_to_do(tmp_path, monkeypatch):
    def flock(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(BadWeightsFile, match=r"cannot be locked, .*: No locks available") as caught:  # noqa: SIM117
        with exclusive(tmp_path / "weights"):
            pass
    assert "PANNSDIST_HOME" in caught.value.right


def test_a_lock_that_a_dead_process_left_holds_nobody_up(home, server):
    home.mkdir(parents=True)
    (home / ".net.pth.lock").write_text('["an old failure", ""]')
    assert fetch(published(server.serve("/net.pth", serving.whole(DATA)))).is_file()
    with exclusive(home / "net.pth") as failure:
        assert failure is None


@pytest.mark.parametrize("text", ["", "no JSON", '["one"]', "[1, 2]", "[" * 50_000, "9" * 5000, '{"a": 1}'])
def test_a_lock_of_a_process_that_was_killed_while_it_wrote_says_nothing(text):
    assert previous_error(text) is None
    assert previous_error('["wrong", "right"]') == ("wrong", "right")


def test_a_folder_that_cannot_be_written_is_said(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PANNSDIST_HOME", str(tmp_path / "file"))
    said = refusal(published("http://127.0.0.1:9/net.pth"))
    assert said.endswith("make the folder writable, or choose another as PANNSDIST_HOME")


def test_the_cache_is_in_the_users_cache_folder_unless_told_otherwise(monkeypatch):
    monkeypatch.delenv("PANNSDIST_HOME", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "~/elsewhere")
    assert str(user_folder.home()).endswith("/elsewhere/pannsdist")
    assert "~" not in str(user_folder.home())


def test_a_download_is_on_the_disk_before_it_gets_its_name(home, server):
    with disk_calls.recorded() as calls:
        fetch(published(server.serve("/net.pth", serving.whole(DATA))))
    assert calls == [("sync", "net.pth.part"), ("rename", "net.pth.part -> net.pth"), ("sync", home.name)]


def test_a_cached_file_that_cannot_be_read_now_is_kept(home, server):
    weights = published(server.serve("/net.pth", serving.whole(DATA)))
    fetch(weights)
    with faulty_disk.failing(home / "net.pth", errno.EIO):
        said = refusal(weights)
    assert said.startswith(f"{home / 'net.pth'} cannot be read: Input/output error")
    with faulty_disk.failing(home / "net.pth", errno.ESTALE, times=1):
        assert fetch(weights) == home / "net.pth"
    assert server.asked == ["/net.pth"]
