"""A corpus is downloaded, verified and unpacked, and nothing of it lands outside its folder."""

import errno
import hashlib
import io
import stat
import tarfile
import zipfile

import faulty_disk
import numpy as np
import pytest
import serving
from small_parts import catalog

from pannsdist.cli import data
from pannsdist.cli.command_line import main
from pannsdist.contracts import Download
from pannsdist.run.dataset_download import DOWNLOADS, fetch_corpus
from pannsdist.run.unpacking import unpack
from pannsdist.runtime.errors import BadDataset, CannotWrite

pytestmark = pytest.mark.usefixtures("home")
FILES = {"bell-1/audio/1.wav": b"one" * 9000, "bell-1/meta/list.csv": b"path\n1.wav\n"}


def zipped(files=FILES, links=(), method=zipfile.ZIP_DEFLATED):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        archive.writestr("bell-1/", b"")
        for name, content in files.items():
            archive.writestr(name, content)
        for name in links:
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(entry, "/etc/passwd")
    return made.getvalue()


def tarred(files=FILES, odd=(), mode="w:gz"):
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode=mode) as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        for name, kind in odd:
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, "/etc/passwd"
            archive.addfile(entry)
    return made.getvalue()


def corpus(*files, unpacks_to=""):
    """A plugin class with these downloads."""
    return type("Bells", (), {"downloads": files, "unpacks_to": unpacks_to, "__doc__": "Bells."})


def md5(data):
    return "md5:" + hashlib.md5(data).hexdigest()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "outer" / "bells"


@pytest.fixture
def refusal(folder):
    def said(*files):
        with pytest.raises(BadDataset) as caught:
            fetch_corpus("bells", corpus(*files), folder, 5.0)
        return str(caught.value)

    return said


def found(folder):
    """What was unpacked."""
    paths = (path for path in folder.rglob("*") if path.is_file() and DOWNLOADS not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize("checksum", [md5, lambda data: f"sha256:{hashlib.sha256(data).hexdigest()}", lambda _: ""])
def test_an_archive_is_fetched_verified_and_unpacked_once(folder, server, capsys, kind, checksum):
    data = {"zip": zipped, "tar": tarred}[kind]()
    url = server.serve(f"/bells.{kind}", serving.whole(data))
    plugin = corpus(Download(url, "CC BY 4.0", checksum(data), len(data), kind), unpacks_to="bell-1")
    assert fetch_corpus("bells", plugin, folder) == folder / "bell-1"
    assert found(folder) == FILES
    assert "licence of bells: CC BY 4.0\n" in capsys.readouterr().err
    assert not (folder / DOWNLOADS / f"bells.{kind}").exists()
    fetch_corpus("bells", plugin, folder)
    assert server.asked == [f"/bells.{kind}"]
    assert f"already downloaded: bells.{kind}" in capsys.readouterr().err


def test_several_files_come_together_each_in_its_folder(folder, server):
    one = Download(server.serve("/1.zip", serving.whole(zipped())), "MIT")
    second = server.serve("/2.tar.bz2", serving.whole(tarred({"./x.wav": b"x"}, mode="w:bz2")))
    two = Download(second, "MIT", unpack="tar", into="a/b")
    plain = Download(server.serve("/list.txt", serving.whole(b"1.wav\n")), "MIT", unpack="")
    fetch_corpus("bells", corpus(one, two, plain), folder)
    assert found(folder) == {**FILES, "a/b/x.wav": b"x", "list.txt": b"1.wav\n"}


def test_a_host_that_does_not_tell_the_length_is_good_enough_for_an_archive(folder, server):
    url = server.serve("/bells.zip", serving.without_length(zipped()))
    fetch_corpus("bells", corpus(Download(url, "MIT")), folder)
    assert found(folder) == FILES


NOISE = {"a.wav": np.random.default_rng(0).bytes(5000), "b/c.wav": bytes(5000), "d.wav": b"last" * 99}
ZIPS = {name: getattr(zipfile, f"ZIP_{name}") for name in ("STORED", "DEFLATED", "BZIP2", "LZMA")}
ARCHIVES = {
    **{f"zip {name}": ("zip", zipped(NOISE, method=method)) for name, method in ZIPS.items()},
    **{f"tar {mode}": ("tar", tarred(NOISE, mode=f"w:{mode}")) for mode in ("", "gz", "bz2", "xz")},
}


def damaged(data):
    """Cut at many places, a tar at the borders of its members too, and with other bytes at many places."""
    end = len(data.rstrip(b"\0")) - 1
    for place in {*range(0, end, max(1, end // 40)), end, *(border for border in (512, 6144, 11776) if border < end)}:
        yield f"cut at {place}", data[:place]
    for place in range(0, len(data), max(1, len(data) // 60)):
        yield f"changed at {place}", data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :]


@pytest.mark.parametrize("kind", ARCHIVES)
def test_a_damaged_archive_of_any_kind_is_refused_and_removed(tmp_path, kind):
    kind, whole = ARCHIVES[kind]
    archive, refused = tmp_path / "bells", 0
    for what, content in damaged(whole):
        archive.write_bytes(content)
        folder = tmp_path / what
        try:
            unpack(archive, kind, folder)
        except BadDataset as error:
            refused += 1
            assert not archive.exists() or "by hand" in error.right or "do not trust" in error.right, (what, str(error))
        else:
            assert not what.startswith("cut"), what
            plain = len(list(folder.rglob("*.wav")))  # a byte that nothing depends on, as of a time
            assert plain == len(NOISE), what
    assert refused > 45


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE])
@pytest.mark.parametrize("kind", ["zip STORED", "tar xz"])
def test_an_archive_that_cannot_be_read_now_is_kept(tmp_path, kind, number):
    kind, data = ARCHIVES[kind]
    archive = tmp_path / "bells"
    archive.write_bytes(data)
    with faulty_disk.failing(archive, number), pytest.raises(BadDataset, match="cannot be read: ") as caught:
        unpack(archive, kind, tmp_path / "out")
    assert "nothing was removed" in caught.value.right
    assert archive.read_bytes() == data


def test_a_folder_that_cannot_be_written_does_not_cost_the_archive(tmp_path):
    archive = tmp_path / "bells"
    archive.write_bytes(zipped({"a": b"x", "a/b": b"y"}))
    with pytest.raises(CannotWrite, match=r"cannot write .*/out/a"):
        unpack(archive, "zip", tmp_path / "out")
    assert archive.exists()


class Endless:
    """80 MB of zeros that are never in memory at once."""

    def read(self, size):
        return bytes(size)


def bomb(kind):
    made = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("zeros.wav", "w") as entry:
            for _ in range(80):
                entry.write(bytes(1 << 20))
        return made.getvalue()
    with tarfile.open(fileobj=made, mode="w:xz", preset=0) as archive:
        entry = tarfile.TarInfo("zeros.wav")
        entry.size = 80 << 20
        if kind == "header":  # a name of 80 MB, which tarfile reads at once
            entry.type = tarfile.GNUTYPE_LONGNAME
        archive.addfile(entry, Endless())
    return made.getvalue()


@pytest.mark.parametrize("kind", ["zip", "tar", "header"])
def test_an_archive_that_unpacks_to_far_more_than_its_size_is_refused(tmp_path, kind):
    archive = tmp_path / "bells"
    archive.write_bytes(bomb(kind))
    assert archive.stat().st_size < 1 << 20
    with pytest.raises(BadDataset, match="unpacks to more than 67108864 bytes"):
        unpack(archive, "zip" if kind == "zip" else "tar", tmp_path / "out")


def test_an_encrypted_archive_is_kept_and_said(tmp_path):
    data = bytearray(zipped({"a.wav": b"x"}))
    for signature, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.index(b"a.wav") - 30 + place if place == 6 else data.rindex(signature) + place] |= 1
    archive = tmp_path / "bells"
    archive.write_bytes(bytes(data))
    with pytest.raises(BadDataset, match="is encrypted"):
        unpack(archive, "zip", tmp_path / "out")
    assert archive.exists()


@pytest.mark.parametrize(("kind", "data"), [("zip", zipped()), ("tar", tarred()), ("tar", tarred(mode="w:xz"))])
def test_an_archive_that_is_cut_off_is_refused_and_fetched_anew(folder, server, refusal, kind, data):
    url = server.serve(f"/bells.{kind}", serving.without_length(data[: len(data) * 2 // 3]))
    said = refusal(Download(url, "MIT", unpack=kind))
    assert said.startswith(f"bells.{kind} is truncated or damaged, and was removed: ")
    assert said.endswith("repeat the command to download it again")
    server.serve(f"/bells.{kind}", serving.without_length(data))
    fetch_corpus("bells", corpus(Download(url, "MIT", unpack=kind)), folder)
    assert found(folder) == FILES


def test_a_byte_that_changed_on_the_way_is_noticed_by_the_archive_itself(server, refusal):
    data = bytearray(zipped({"a.wav": bytes(range(256)) * 40}))
    data[90] ^= 1
    said = refusal(Download(server.serve("/bells.zip", serving.whole(bytes(data))), "MIT"))
    assert "bells.zip is truncated or damaged" in said


def test_a_file_with_another_checksum_is_refused_and_nothing_is_unpacked(folder, server, refusal):
    data, published = zipped(), "0" * 32
    url = server.serve("/bells.zip", serving.whole(data))
    said = refusal(Download(url, "MIT", f"md5:{published}"))
    assert f"has {md5(data).replace(':', ' ')}\n" in said
    assert f"expected {published}, as published" in said
    assert found(folder) == {}


def test_without_a_network_it_is_said_which_file_to_put_where(folder, server, refusal):
    data = zipped()
    file = Download(server.url("/bells.zip").replace(str(server.port), "9"), "MIT", md5(data))
    said = refusal(file)
    assert "no connection" in said
    assert said.endswith(f"without network access, copy the file to {folder / DOWNLOADS / 'bells.zip'}")
    (folder / DOWNLOADS / "bells.zip").write_bytes(data)
    fetch_corpus("bells", corpus(file), folder)
    assert found(folder) == FILES


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize("name", ["../evil.wav", "a/../../evil.wav", "/evil.wav", "..\\evil.wav", "C:evil.wav"])
def test_a_path_that_climbs_out_is_refused_and_not_written(folder, server, refusal, kind, name):
    data = {"zip": zipped, "tar": tarred}[kind]({"good.wav": b"x", name: b"evil"})
    said = refusal(Download(server.serve("/bells", serving.whole(data)), "MIT", unpack=kind))
    assert said.startswith(f"bells names {name!r}, which is outside the target folder")
    assert not list(folder.parent.parent.rglob("*evil*"))
    assert found(folder) == {"good.wav": b"x"}


def test_a_link_in_a_zip_is_refused_and_not_made(folder, server, refusal):
    data = zipped(links=("bell-1/link.wav",))
    said = refusal(Download(server.serve("/bells.zip", serving.whole(data)), "MIT"))
    assert said.startswith("bells.zip contains a link or a device: 'bell-1/link.wav'")
    assert not (folder / "bell-1" / "link.wav").is_symlink()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_a_link_or_a_device_in_a_tar_is_refused_and_not_made(folder, server, refusal, kind):
    data = tarred(odd=(("bell-1/odd.wav", kind),))
    said = refusal(Download(server.serve("/bells.tar.gz", serving.whole(data)), "MIT", unpack="tar"))
    assert said.startswith("bells.tar.gz contains a link or a device: 'bell-1/odd.wav'")
    assert not (folder / "bell-1" / "odd.wav").exists()


@pytest.mark.parametrize("into", ["../up", "/up"])
def test_a_plugin_cannot_unpack_outside_the_folder_either(server, refusal, into):
    file = Download(server.serve("/bells.zip", serving.whole(zipped())), "MIT", into=into)
    assert refusal(file).startswith(f"the plugin names {into!r}, which is outside the target folder")
    assert server.asked == []


def test_only_https_and_http_are_fetched(refusal):
    said = refusal(Download("file:///etc/passwd", "MIT"))
    assert said.startswith("corpora can be fetched over https and http only, not from 'file:///etc/passwd'")


def test_a_folder_that_cannot_be_made_is_said(tmp_path, server):
    (tmp_path / "file").touch()
    with pytest.raises(CannotWrite, match=r"cannot write -o .*: Not a directory: "):
        fetch_corpus("bells", corpus(Download(server.url("/x.zip"), "MIT")), tmp_path / "file" / "bells")


def test_a_dataset_without_downloads_says_that_it_is_to_be_had_by_hand(capsys):
    assert main(["data", "fetch", "tones"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(
        "error: dataset 'tones' has no files that can be downloaded automatically\n  download it manually"
    )


def test_an_unknown_dataset_is_refused_with_the_nearest(capsys):
    assert main(["data", "fetch", "tonnes"]) == 2
    assert "closest: tones" in capsys.readouterr().err


def test_the_command_prints_the_setting_that_names_the_root(folder, server, capsys, monkeypatch):
    url = server.serve("/bells.zip", serving.whole(zipped()))
    monkeypatch.setattr("small_parts.Listed.downloads", (Download(url, "MIT"),), raising=False)
    monkeypatch.setattr("small_parts.Listed.unpacks_to", "bell-1", raising=False)
    data.fetch(catalog(), "listed", folder)
    assert capsys.readouterr().out == f"data.params.root={folder}/bell-1\n"
