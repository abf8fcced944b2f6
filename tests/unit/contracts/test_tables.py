"""Tables become rows, and a table that is not as it should be is refused with file and line."""

import pytest

from pannsdist.contracts.tables import csv_rows, file_rows, json_rows, line_rows, rows_by, table_rows
from pannsdist.runtime.errors import UserError


@pytest.fixture
def table(tmp_path):
    """Writes a table and gives its path."""

    def written(content, name="table.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return written


def refusal(read, *arguments, **options):
    with pytest.raises(UserError) as caught:
        read(*arguments, **options)
    return str(caught.value)


def cells(rows):
    return [dict(row.cells) for row in rows]


def test_rows_know_their_lines_and_blank_lines_count_but_give_none(table):
    rows = csv_rows(table("path,label\na.wav,dog\n\nb.wav,cat\n"))
    assert cells(rows) == [{"path": "a.wav", "label": "dog"}, {"path": "b.wav", "label": "cat"}]
    assert [row.line for row in rows] == [2, 4]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_line_ends_and_a_byte_order_mark_change_nothing(table, end, mark):
    rows = csv_rows(table(mark + end.join(["path,label", "a.wav,dog", "b.wav,cat", ""])), ("path",))
    assert [row.text("label") for row in rows] == ["dog", "cat"]
    lines = line_rows(table(mark + end.join(["a.wav", "", "b.wav"]), "list.txt"))
    assert [(row.text("path"), row.line) for row in lines] == [("a.wav", 1), ("b.wav", 3)]


def test_a_missing_column_is_refused_with_those_that_are_there(table):
    path = table("path,class\na.wav,dog\n")
    assert refusal(csv_rows, path, ("path", "label")) == f"{path}:1: no column label\n  columns found: path, class"


def test_a_column_that_stands_twice_is_refused(table):
    path = table("path,label,path\n")
    assert refusal(csv_rows, path).startswith(f"{path}:1: a column stands twice in the header: path, label, path")


@pytest.mark.parametrize("name", ["table.csv", "table.TSV", "table.txt"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_the_header_says_what_separates_values(table, separator, encoding, name):
    header, row = ["path", "label", "note"], ['"a;b,c\td.wav"', '"dog;cat"', '"x,y;z"']
    text = "\r\n".join([separator.join(header), separator.join(row), ""])
    rows = table_rows(table(text.encode(encoding), name))
    assert cells(rows) == [{"path": "a;b,c\td.wav", "label": "dog;cat", "note": "x,y;z"}]


def test_the_rows_do_not_change_what_separates_values(table):
    assert cells(csv_rows(table("path,labels\na.wav,dog;cat;cow\n"))) == [{"path": "a.wav", "labels": "dog;cat;cow"}]
    assert cells(csv_rows(table("path;start\na.wav;1,5\n"))) == [{"path": "a.wav", "start": "1,5"}]


@pytest.mark.parametrize("first", ["sep=;", '"sep=;"', "\nSEP=;"])
def test_a_first_line_may_say_what_separates_values(table, first):
    (row,) = csv_rows(table(f"{first}\npath;label, or none\na.wav;dog\n"))
    assert (dict(row.cells), row.line) == ({"path": "a.wav", "label, or none": "dog"}, 3 + first.count("\n"))


def test_a_quoted_name_may_have_another_separator_in_it(table):
    assert cells(csv_rows(table('path,"a;b"\nx,y\n'))) == [{"path": "x", "a;b": "y"}]


def test_a_header_with_two_separators_is_refused(table):
    path = table("\npath,label;note\na.wav,dog;x\n")
    assert refusal(csv_rows, path) == (
        f"{path}:2: the header has commas and semicolons, so what separates values is unclear\n"
        "  separate all by one of them, and quote a name that has another"
    )


def test_labels_with_the_separator_of_the_table_are_to_be_quoted(table):
    path = table("path;label\na.wav;dog;cat\n")
    said = refusal(csv_rows, path)
    assert said.startswith(f"{path}:2: 3 values for 2 columns\n  values are separated by semicolons; quote a value")


@pytest.mark.parametrize(("row", "count"), [("a.wav", 1), ("a.wav,dog,cat", 3)])
def test_a_row_of_another_width_is_refused(table, row, count):
    path = table(f"path,label\nb.wav,cat\n{row}\n")
    said = refusal(csv_rows, path)
    assert said.startswith(f"{path}:3: {count} values for 2 columns\n  values are separated by commas")


def test_a_quoted_value_that_never_ends_is_refused(table):
    path = table('path,label\na.wav,"dog\n')
    assert refusal(csv_rows, path).startswith(f"{path}:2: not CSV: ")


@pytest.mark.parametrize("encoding", ["latin-1", "gb18030"])
def test_another_encoding_is_refused_with_the_line_and_how_to_convert(table, encoding):
    text = {"latin-1": "bär", "gb18030": "狗"}[encoding]
    path = table(f"path,label\na.wav,{text}\n".encode(encoding))
    said = refusal(csv_rows, path, key="data.params.path")
    assert said.startswith(f"{path}:2: not UTF-8 (data.params.path)\n  save it as UTF-8, or convert it ")
    assert f"next: iconv -f GB18030 -t UTF-8 {path} > {path}.utf8" in said


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_text_of_windows_is_read_by_its_byte_order_mark_and_refused_without_one(table, encoding):
    path = table("path,label\na.wav,bär\n".encode(encoding))
    if encoding in ("utf-16", "utf-32"):
        assert cells(csv_rows(path)) == [{"path": "a.wav", "label": "bär"}]
    else:
        assert "a zero byte, so it is not UTF-8\n  save it as UTF-8; it may be UTF-16\n" in refusal(csv_rows, path)


def test_a_name_may_hold_what_unicode_calls_a_line_separator(table):
    names = ["a\u2028b.wav", "a\x85b.wav", "a\x0bb.wav", "c.wav"]
    assert [row.text("path") for row in line_rows(table("\n".join(names)))] == names


def test_a_file_that_is_not_there_is_refused_with_its_setting(tmp_path):
    said = refusal(csv_rows, tmp_path / "no.csv", key="data.params.path")
    assert said.startswith(f"cannot read {tmp_path}/no.csv (data.params.path): No such file or directory")


def test_a_table_without_a_header_is_read_by_given_names_with_comments_and_quotes(table):
    rows = csv_rows(table('# made by hand\n# two, 2\na, 30.000, "x,y"\n#b, 1, z\n'), header=("id", "start", "labels"))
    assert cells(rows) == [{"id": "a", "start": "30.000", "labels": "x,y"}]
    assert rows[0].line == 3


def test_json_lines_are_objects_each_on_its_line(table):
    path = table('{"path": "a.wav", "labels": ["x"]}\n\n[1]\n', "table.jsonl")
    assert refusal(json_rows, path).startswith(f"{path}:3: not a JSON object: not an object")
    path = table('{"path": "a.wav"}\r\n{"path": "b.wav"}\r\n', "table.jsonl")
    assert [row.text("path") for row in json_rows(path)] == ["a.wav", "b.wav"]


def test_files_are_rows_in_the_order_of_their_names(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "__MACOSX").mkdir()
    for name in ("b/2.wav", "b/10.WAV", "a.wav", "b/notes.txt", "._a.wav", "__MACOSX/a.wav"):
        (tmp_path / name).touch()
    rows = file_rows(tmp_path, "**/*.wav")
    assert [row.text("path") for row in rows] == ["a.wav", "b/10.WAV", "b/2.wav"]
    assert rows[1].place == str(tmp_path / "b" / "10.WAV")


def test_rows_by_a_column_keep_their_order_and_none_stands_twice(table):
    rows = csv_rows(table("mid,name\n/m/2,Dog\n/m/1,Cat\n"))
    assert list(rows_by("mid", rows)) == ["/m/2", "/m/1"]
    path = table("mid,name\n/m/2,Dog\n/m/2,Cat\n")
    said = refusal(rows_by, "mid", csv_rows(path))
    assert said == f"{path}:3: mid '/m/2' stands at {path}:2 already\n  remove one row"


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda row: row.required("empty"), "empty is empty\n  every row needs it"),
        (lambda row: row.file_name("path"), "path is '../up.wav'\n  it is the name of a file, without folders"),
        (lambda row: row.choice("word", ("yes", "no")), "word is 'maybe'\n  allowed: yes, no"),
        (lambda row: row.whole("number", 1, 10), "number is '11'\n  it is a whole number from 1 to 10"),
        (lambda row: row.whole("word", 1, 10), "word is 'maybe'\n  it is a whole number from 1 to 10"),
        (
            lambda row: row.seconds("word"),
            "word is 'maybe'\n  it is a number of seconds, 0 or more, with a decimal point",
        ),
        (
            lambda row: row.seconds("below"),
            "below is '-1'\n  it is a number of seconds, 0 or more, with a decimal point",
        ),
        (lambda row: row.matched("word", "yes|no", "say yes or no"), "word is 'maybe'\n  say yes or no"),
    ],
)
def test_a_cell_that_is_not_as_asked_is_refused_with_its_place(table, ask, said):
    path = table("path,empty,word,number,below\n../up.wav,,maybe,11,-1\n")
    assert refusal(ask, csv_rows(path)[0]) == f"{path}:2: {said}"


def test_cells_are_taken_without_the_space_around_them(table):
    row = csv_rows(table("name,number,start\n a.wav , 7 , 1.5 \n"))[0]
    assert (row.file_name("name"), row.whole("number", 0, 9), row.seconds("start")) == ("a.wav", 7, 1.5)
