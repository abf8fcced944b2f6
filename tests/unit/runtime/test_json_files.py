"""JSON files of this package: what is read, what is refused, and in which words."""

import errno
import json

import faulty_disk
import pytest

from pannsdist.runtime.errors import BadRunFolder, CannotRead
from pannsdist.runtime.json_files import JsonFile

pytestmark = pytest.mark.any_paddle


def squares(content):
    return {name: int(value) ** 2 for name, value in content["values"].items()}


FILE = JsonFile(squares, BadRunFolder, "remove it", 1, is_removable=True)
LINES = JsonFile(lambda line: int(line["epoch"]), BadRunFolder, "start again")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a file.json"


def test_a_file_is_read_and_one_that_is_not_there_is_none(path):
    assert FILE.read(path) is None
    assert FILE.read(path / "below") is None
    path.write_text(json.dumps({"format": 1, "values": {"a": 3}}))
    assert FILE.read(path) == {"a": 9}
    assert FILE.read(path / "below a file") is None


DAMAGED = [
    *(b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"format": 1}', b'{"format": 1, "values": []}'),
    *(b'{"format": 1, "values": {"a": "x"}}', b'{"format": 1, "values": {"a": null}}', b'{"format": 1, "format": 1}'),
]


@pytest.mark.parametrize("raw", DAMAGED)
def test_damage_is_refused_with_the_file_and_the_command(path, raw):
    path.write_bytes(raw)
    with pytest.raises(BadRunFolder) as caught:
        FILE.read(path)
    assert str(caught.value).startswith(f"{path} is damaged: ")
    assert str(caught.value).endswith(f"\n  remove it\n  next: rm '{path}'")


@pytest.mark.parametrize("raw", DAMAGED)
def test_what_can_be_done_without_is_none_where_it_is_damaged(path, raw):
    path.write_bytes(raw)
    assert JsonFile(squares, BadRunFolder, None, 1).read(path) is None


@pytest.mark.parametrize(("number", "said"), [(2, "was written by a newer pannsdist"), (True, "its format is True")])
def test_another_format_is_refused_and_not_taken_for_damage(path, number, said):
    path.write_text(json.dumps({"format": number, "values": {}}))
    for file in (FILE, JsonFile(squares, BadRunFolder, None, 1)):
        with pytest.raises(BadRunFolder, match=said):
            file.read(path)


def test_a_fault_of_the_disk_is_not_taken_for_damage_or_absence(path):
    path.write_text("{")
    with faulty_disk.failing(path.name, errno.EACCES):
        for read in (FILE.read, LINES.read_lines, JsonFile(squares, BadRunFolder, None).read):
            with pytest.raises(CannotRead, match="Permission denied"):
                read(path)


def test_a_line_that_is_being_written_is_left_out_and_any_other_refused(path):
    assert LINES.read_lines(path) == []
    path.write_text('{"epoch": 1}\n{"epoch": 2}\n{"epo')
    assert LINES.read_lines(path) == [1, 2]
    path.write_text('{"epo\n{"epoch": 2}\n')
    with pytest.raises(BadRunFolder, match="is damaged: a file is not JSON"):
        LINES.read_lines(path)
