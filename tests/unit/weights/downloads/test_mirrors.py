"""Published files from a mirror: the same names and checks, and each failure names the mirror and the way back."""

import hashlib

import pytest
import serving

from pannsdist.contracts import Download, FrontEnd, Pretrained
from pannsdist.run.dataset_download import fetch_corpus
from pannsdist.runtime.errors import BadDataset, BadWeightsFile, SettingsError
from pannsdist.weights.downloads.fetch import fetch
from pannsdist.weights.downloads.mirrors import mirror_of

pytestmark = pytest.mark.usefixtures("home", "_without_mirrors")
FRONT_END = FrontEnd("logmel", 32000, 1024, 320, 1024, 64, 50.0, 14000.0)
DATA = bytes(range(256)) * 64
SHA256 = hashlib.sha256(DATA).hexdigest()
PAGE = b"\xef\xbb\xbf\n<!DOCTYPE html>\n<html><body>sign in</body></html>"
PLAIN = "http://plain.example"
ZENODO = "https://zenodo.org/record/1/files/net%3D0.4.pth?download=1"


@pytest.fixture
def _without_mirrors(monkeypatch):
    for name in ("PANNSDIST_MIRROR", "HF_ENDPOINT", "MODELSCOPE_DOMAIN"):
        monkeypatch.delenv(name, raising=False)


def published(url=ZENODO, sha256=SHA256, size_bytes=0):
    return Pretrained(url, sha256, FRONT_END, 527, "MIT", "a test", size_bytes)


def refusal(weights, error=BadWeightsFile):
    with pytest.raises(error) as caught:
        fetch(weights, 5.0)
    return str(caught.value)


@pytest.fixture
def mirror(server, monkeypatch):
    """A mirror of zenodo.org at /zenodo of the server on this machine."""
    monkeypatch.setenv("PANNSDIST_MIRROR", f"github.com=https://elsewhere.example zenodo.org={server.url('/zenodo')}/")
    return "/zenodo/record/1/files/net%3D0.4.pth"


@pytest.mark.parametrize(
    ("variable", "value", "url", "expected"),
    [
        ("PANNSDIST_MIRROR", "zenodo.org=https://m.example/z", ZENODO, "https://m.example/z" + ZENODO[18:]),
        ("PANNSDIST_MIRROR", "https://Zenodo.ORG/=https://m.example", ZENODO, "https://m.example" + ZENODO[18:]),
        ("PANNSDIST_MIRROR", "zenodo.org=https://m zenodo.org/record=https://n", ZENODO, "https://n" + ZENODO[25:]),
        ("PANNSDIST_MIRROR", f"{ZENODO[:-11]}=https://m/a.pth", ZENODO, "https://m/a.pth?download=1"),
        ("PANNSDIST_MIRROR", "github.com=https://p/https://github.com", "https://github.com/a/b.zip", "https://p/https://github.com/a/b.zip"),
        ("HF_ENDPOINT", "https://hf-mirror.com", "https://huggingface.co/a/b/c.pt", "https://hf-mirror.com/a/b/c.pt"),
        ("MODELSCOPE_DOMAIN", "m.example", "https://modelscope.cn/models/a/b.pt", "https://m.example/models/a/b.pt"),
        ("PANNSDIST_MIRROR", "zenodo.org=https://m", "https://zenodo.org.evil.example/a.pth", None),
        ("PANNSDIST_MIRROR", "zenodo.org/rec=https://m", ZENODO, None),
        ("PANNSDIST_MIRROR", "http://zenodo.org=https://m", ZENODO, None),
        ("PANNSDIST_MIRROR", "zenodo.org=https://zenodo.org", ZENODO, None),
        ("PANNSDIST_MIRROR", " ", ZENODO, None),
        ("HF_ENDPOINT", "https://huggingface.co/", "https://huggingface.co/a/c.pt", None),
        ("HF_ENDPOINT", "", "https://huggingface.co/a/c.pt", None),
        ("HF_ENDPOINT", "no address", ZENODO, None),
    ],
)  # fmt: skip
def test_a_mirror_takes_the_place_of_the_start_of_an_address(monkeypatch, variable, value, url, expected):
    monkeypatch.setenv(variable, value)
    found = mirror_of(url)
    assert (None if found is None else found.url(url)) == expected
    assert found is None or found.variable == variable


def test_the_own_setting_comes_before_the_variables_of_other_tools(monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "https://one.example")
    monkeypatch.setenv("PANNSDIST_MIRROR", "huggingface.co=https://two.example")
    assert mirror_of("https://huggingface.co/a.pt").address == "https://two.example"


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        (
            "PANNSDIST_MIRROR",
            "https://m.example",
            "PANNSDIST_MIRROR has 'https://m.example', which is not START=MIRROR",
        ),
        ("PANNSDIST_MIRROR", "zenodo.org=", "PANNSDIST_MIRROR has 'zenodo.org=', which is not START=MIRROR"),
        ("PANNSDIST_MIRROR", "ftp://zenodo.org=https://m", "which is not START=MIRROR"),
        ("PANNSDIST_MIRROR", "zenodo.org=http://m.example", "plain http is allowed on this machine only"),
        ("PANNSDIST_MIRROR", "zenodo.org=m.example", "a mirror is an https address"),
        ("PANNSDIST_MIRROR", "zenodo.org=file:///tmp", "a mirror is an https address"),
        ("PANNSDIST_MIRROR", "zenodo.org=https://m/?a=b", "without a query"),
        ("PANNSDIST_MIRROR", "zenodo.org=https://[m", "a mirror is an https address"),
        ("PANNSDIST_MIRROR", "zenodo.org=https://a Zenodo.org=https://b", "two mirrors for Zenodo.org"),
        ("HF_ENDPOINT", "http://m.example", "HF_ENDPOINT has the mirror 'http://m.example'"),
    ],
)
def test_a_variable_that_holds_no_mirror_is_refused(home, monkeypatch, variable, value, said):
    monkeypatch.setenv(variable, value)
    url = "https://huggingface.co/a/c.pth" if variable == "HF_ENDPOINT" else ZENODO
    assert said in refusal(published(url), SettingsError)
    assert not list(home.glob("*.pth"))


def test_a_file_from_a_mirror_has_the_name_and_the_checks_of_the_published_one(home, server, mirror, capsys):
    server.serve(mirror, serving.moved(server.serve("/store/1234", serving.whole(DATA))))
    path = fetch(published())
    assert (path, path.read_bytes()) == (home / "net=0.4.pth", DATA)
    assert server.asked == [f"{mirror}?download=1", "/store/1234"]
    url = server.url(f"{mirror}?download=1")
    said = f"downloading {ZENODO} (size not published)\n  from the mirror {url} (PANNSDIST_MIRROR)\n  to {path}\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize(
    "failure",
    [
        (None, "could not be downloaded from the mirror: the server responded 404 Not Found"),
        (serving.half(DATA), "could not be downloaded from the mirror: the connection was interrupted after "),
        (serving.whole(PAGE), "from the mirror: the server sent an HTML page in place of the file"),
        (serving.moved(f"{PLAIN}/net.pth"), f"the server redirects to {PLAIN}/net.pth, which is not"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("sha256", [SHA256, ""])
def test_a_failure_of_a_mirror_names_it_and_the_way_back(home, server, mirror, failure, sha256):
    answer, said = failure
    if answer is not None:
        server.serve(mirror, answer)
    lines = refusal(published(sha256=sha256)).splitlines()
    assert said in lines[0]
    assert lines[1:4] == [
        f"  mirror: {server.url(mirror)}?download=1",
        "  without the mirror: unset PANNSDIST_MIRROR",
        f"  URL: {ZENODO}",
    ]
    assert [path.name for path in home.iterdir()] == [".net=0.4.pth.lock"]


def test_another_file_on_a_mirror_is_refused_and_not_kept(home, server, mirror):
    server.serve(mirror, serving.whole(DATA[::-1]))
    said = refusal(published())
    assert f"expected {SHA256}, as published: the mirror {server.url(mirror)}?download=1 sent another file" in said
    assert said.endswith("without the mirror: unset PANNSDIST_MIRROR")
    assert not (home / "net=0.4.pth").exists()


def test_without_a_checksum_another_size_than_the_published_one_is_refused(home, server, mirror):
    server.serve(mirror, serving.whole(DATA))
    said = refusal(published(sha256="", size_bytes=len(DATA) + 1))
    assert f"it has {len(DATA)} bytes; the published file has {len(DATA) + 1}" in said
    assert not (home / "net=0.4.pth").exists()


def test_what_a_mirror_sent_without_a_checksum_is_said_and_found_out_later(server, mirror, monkeypatch, capsys):
    server.serve(mirror, serving.whole(DATA))
    path = fetch(published(sha256=""))
    assert "what the mirror for zenodo.org sent could not be verified" in capsys.readouterr().err
    monkeypatch.delenv("PANNSDIST_MIRROR")
    assert fetch(published(sha256="")) == path, "no second download"
    path.write_bytes(DATA[::-1])
    assert f"at the first download from the mirror {server.url(mirror)}?download=1, stored in" in refusal(
        published(sha256="")
    )
    path.unlink()
    monkeypatch.setenv("PANNSDIST_MIRROR", f"zenodo.org={server.url('/zenodo')}")
    server.serve(mirror, serving.whole(DATA[::-1]))
    said = refusal(published(sha256=""))
    assert said.endswith(
        f"from the mirror {server.url(mirror)}?download=1\n  without the mirror: unset PANNSDIST_MIRROR"
    )
    assert not path.exists()


def test_the_password_of_a_mirror_is_not_printed_or_stored(home, server, mirror, monkeypatch, capsys):
    address = server.url("/zenodo").replace("http://", "http://me:hunter2@")
    monkeypatch.setenv("PANNSDIST_MIRROR", f"zenodo.org={address}")
    said = refusal(published())
    server.serve(mirror, serving.whole(DATA))
    fetch(published(sha256=""))
    kept = "".join(path.read_text() for path in home.iterdir() if path.suffix != ".pth")
    assert "mirror http://***@127.0.0.1" in kept
    assert "hunter2" not in said + kept + capsys.readouterr().err


def test_a_corpus_comes_from_the_mirror_too(server, mirror, tmp_path):  # noqa: ARG001 - it is in the environment
    url = "https://zenodo.org/record/1/files/list.csv"
    corpus = type("Bells", (), {"downloads": (Download(url, "CC0", f"sha256:{SHA256}", unpack=""),), "__doc__": "B."})
    with pytest.raises(BadDataset, match=r"list\.csv could not be downloaded from the mirror"):
        fetch_corpus("bells", corpus, tmp_path / "bells", 5.0)
    server.serve("/zenodo/record/1/files/list.csv", serving.whole(DATA))
    fetch_corpus("bells", corpus, tmp_path / "bells", 5.0)
    assert (tmp_path / "bells" / "list.csv").read_bytes() == DATA


def test_the_proxies_of_the_environment_are_used(server, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "")
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", server.url("").replace("http://", "http://me:hunter2@"))
    said = refusal(published())
    assert server.asked == ["zenodo.org:443"]
    assert f"no connection through the proxy http://***@127.0.0.1:{server.port} (Tunnel connection failed: 403" in said
    monkeypatch.setenv("HTTP_PROXY", server.url(""))
    server.serve(f"{PLAIN}/net.pth", serving.whole(DATA))
    assert fetch(published(f"{PLAIN}/net.pth")).read_bytes() == DATA
