"""What a server may redirect to: one rule for weights, corpora and stores."""

import pytest

from pannsdist.runtime.addresses import redirect_fault

PUBLIC = "https://example.org/a"


@pytest.mark.parametrize(
    ("first", "target", "why"),
    [
        (PUBLIC, "http://example.org/a", "which is not https"),
        ("http://127.0.0.1:8000/a", "http://example.org/a", "which is not https"),
        (PUBLIC, "file:///etc/passwd", "no address of http"),
        (PUBLIC, "ftp://example.org/a", "no address of http"),
        (PUBLIC, "https://169.254.169.254/latest", "private network"),
        (PUBLIC, "https://10.0.0.1/a", "private network"),
        ("http://example.org/a", "http://169.254.169.254/latest", "private network"),
        ("http://example.org/a", "http://[::1]/a", "private network"),
        ("http://example.org/a", "http://localhost/a", "private network"),
    ],
)
def test_what_is_refused(first, target, why):
    assert why in redirect_fault(first, target)


@pytest.mark.parametrize(
    ("first", "target"),
    [
        (PUBLIC, "https://cdn.example.net/b?sig=1"),
        ("http://example.org/a", PUBLIC),
        ("http://localhost/a", "http://127.0.0.1/a"),
        ("http://10.0.0.1/a", "http://10.0.0.2/a"),
    ],
)
def test_what_is_followed(first, target):
    assert redirect_fault(first, target) == ""


def test_the_query_of_a_target_is_not_shown():
    assert "word" not in redirect_fault(PUBLIC, "http://example.org/a?key=word")
