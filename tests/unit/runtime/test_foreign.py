"""What others wrote is printed short and read within bounds."""

import json

import pytest

from pannsdist.runtime.foreign import MAX_JSON_BYTES, TooMuch, excerpt, parse_json, reason


def bomb():
    made = ()
    for _ in range(60):
        made = (made, made)
    return made


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("plain 声", "plain 声"),
        ("\x1b[31m\n\x07", r"\x1b[31m\n\x07"),
        ("\u202e\ud800\x9b", r"\u202e\ud800\x9b"),
        ("x" * 100, "x" * 80 + "..."),
        (2**63, str(2**63)),
        (2**80, "a value of type int"),
        (True, "a value of type bool"),
        (bomb(), "a value of type tuple"),
        ([["x"]], "a value of type list"),
        (None, "a value of type NoneType"),
    ],
)
def test_a_foreign_value_is_printed_short_or_by_its_type(value, said):
    assert excerpt(value) == said


def test_an_exception_that_carries_a_value_is_named_by_its_type_alone():
    assert reason(KeyError(bomb())) == "KeyError"
    assert reason(ValueError("too \x1b long")) == r"too \x1b long"
    assert reason(KeyError("a name\n")) == r"'a name\n'"
    assert reason(MemoryError()) == "MemoryError"


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b" " * (MAX_JSON_BYTES + 1), "a file of 4,194,305 bytes; at most 4,194,304 are read"),
        (b"[" + b"[]," * 400_000 + b"0]", "a file of [0-9,]+ parts in its JSON; at most"),
        (b"[" * 100_000, "a file is nested too deeply"),
        (b'{"a":' * 20_000, "a file is nested too deeply"),
    ],
)
def test_json_beyond_the_bounds_is_refused(raw, said):
    with pytest.raises(TooMuch, match=said):
        parse_json(raw, "a file")


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"{", "x is not JSON: Expecting property name"),
        (b"\xff", "x is not JSON: not UTF-8 at byte 0"),
        (b'{"a": 1, "a": 2}', "x has a name twice"),
        (b"9" * 5000, "x is not JSON: .*limit"),
    ],
)
def test_what_is_not_json_is_a_value_error(raw, said):
    with pytest.raises(ValueError, match=said):
        parse_json(raw, "x")


def test_json_within_the_bounds_is_read():
    content = {"labels": [f"label {n}" for n in range(50_000)], "deep": [[[1, None, 0.5]]], "声": True}
    assert parse_json(json.dumps(content, ensure_ascii=False).encode(), "x") == content
