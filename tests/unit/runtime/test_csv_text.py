"""CSV output: every text comes back as it is shown, no cell is a formula, and what is undefined is empty."""

import csv
import io
import math

import numpy as np
import pytest

from pannsdist.runtime.csv_text import joined, text_of


def read(text, delimiter=","):
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("=1+1", "'=1+1"),
        ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"),
        ("-0RWZT-miFs", "'-0RWZT-miFs"),
        ("@SUM(A1)", "'@SUM(A1)"),
        (" =1", "' =1"),
        ("\t=1", "\\x09=1"),
        ("-0.5", "-0.5"),
        ("+1e-3", "+1e-3"),
        ("a=b", "a=b"),
        ('a,b "c"; d', 'a,b "c"; d'),
        ("two\r\nlines", "two\\x0d\\x0alines"),
        ("\udcb9.wav", "\\xb9.wav"),
        ("狗叫", "狗叫"),
        (-0.5, "-0.5"),
        (1 / 3, "0.3333333333333333"),
        (math.nan, ""),
        (np.float64("nan"), ""),
        (None, ""),
        (math.inf, "inf"),
        (True, "True"),
    ],
)
def test_a_cell_is_a_text_that_no_spreadsheet_computes_a_number_or_empty(given, written):
    text = text_of([("x", given, "y")])
    text.encode("utf-8")
    assert text.count("\n") == 1
    assert read(text) == [["x", written, "y"]]


def test_several_texts_of_a_cell_come_apart_again():
    assert joined(()) == ""
    assert joined(("dog", "rain, heavy")) == "dog;rain, heavy"
    assert read(joined(("a;b", 'say "hi"', "c")), ";") == [["a;b", 'say "hi"', "c"]]
