"""Home folders: there may be none, and a name may begin with ~ without meaning one."""

import os
from pathlib import Path

import pytest

from pannsdist.runtime import user_folder
from pannsdist.runtime.errors import UserError
from pannsdist.runtime.names import expanded, folder_above, path_of
from pannsdist.runtime.redaction import published_text

UNKNOWN_USER = 54_321


@pytest.fixture
def homeless(monkeypatch):
    """A user whom the system does not know, as in a container with any number for its user."""
    for name in ("HOME", "PANNSDIST_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: UNKNOWN_USER)


@pytest.mark.parametrize("name", ["~a.wav", "~$a.csv", "~nobody-of-this-name/a.wav", "a~b/~"])
def test_a_name_may_begin_as_a_home_folder_does(name):
    assert expanded(name) == path_of(name) == Path(name)


def test_a_home_folder_is_meant_where_there_is_one(monkeypatch):
    monkeypatch.setenv("HOME", "/somewhere")
    assert expanded("~/a") == path_of("~/a") == Path("/somewhere/a")


@pytest.mark.usefixtures("homeless")
def test_without_a_home_folder_messages_are_printed_and_downloads_need_a_place(monkeypatch, tmp_path):
    assert expanded("~") == Path("~")
    assert published_text("/a/b") == "/a/b"
    with pytest.raises(UserError, match="no place for downloads") as refused:
        user_folder.home()
    assert refused.value.command == "export PANNSDIST_HOME=FOLDER"
    monkeypatch.setenv("PANNSDIST_HOME", str(tmp_path))
    assert user_folder.home() == tmp_path


def test_the_folder_above_is_one_that_can_be_listed(tmp_path):
    assert folder_above(tmp_path / "no" / "such" / "a.wav") == tmp_path
    assert folder_above(Path("no/such/a.wav")) == folder_above(Path("a.wav")) == Path()
