"""No credentials in what is printed or written."""

import pytest

from pannsdist.runtime import console, storage
from pannsdist.runtime.errors import UserError
from pannsdist.runtime.redaction import is_secret, published, published_text, without_credentials, without_secrets

URLS = {
    "https://me:s3cret@host/a.zip": "https://***@host/a.zip",
    "https://s3cret@host/a.zip": "https://***@host/a.zip",
    "ftp://me:p@s3cret@host:21/a": "ftp://***@host:21/a",
    "s3+http://me:s3cret@host": "s3+http://***@host",
    "https://host/a?token=s3cret": "https://host/a?token=***",
    "https://host/a?page=2&X-Amz-Signature=s3cret&b=1": "https://host/a?page=2&X-Amz-Signature=***&b=1",
    "https://host/a?API_KEY=s3cret#top": "https://host/a?API_KEY=***#top",
    "https://host/a#access_token=s3cret": "https://host/a#access_token=***",
    "https://host/a?a=1&amp;sig=s3cret": "https://host/a?a=1&amp;sig=***",
    "https://host/me:x@y?page=2": "https://host/me:x@y?page=2",
    "mail me@host, 10:30": "mail me@host, 10:30",
}


@pytest.mark.parametrize("url", URLS)
def test_user_and_secret_keys_are_hidden(url):
    text = f'{{"a": "{url}"}} and <{url}>, {url}'
    hidden = without_credentials(text)
    assert hidden == f'{{"a": "{URLS[url]}"}} and <{URLS[url]}>, {URLS[url]}'
    assert without_credentials(hidden) == hidden


def test_every_way_out_hides_them(tmp_path, capsys):
    url = "https://me:s3cret@host/a?token=s3cret"
    error = UserError(f"no {url}", url, f"get {url}")
    console.print_main(url)
    storage.write_atomic(tmp_path / "a", url)
    storage.write_file(tmp_path / "b", url)
    storage.append_line(tmp_path / "c", url)
    texts = [str(error), repr(error), capsys.readouterr().out, *(path.read_text() for path in tmp_path.iterdir())]
    assert len(texts) == 6
    assert all("s3cret" not in text and "https://***@host/a?token=***" in text for text in texts)


def test_a_record_for_others_has_relative_paths_and_keeps_labels(tmp_path, monkeypatch):
    (tmp_path / "inner").mkdir()
    monkeypatch.chdir(tmp_path / "inner")
    record = {
        "data": {"root": f"{tmp_path}/sounds", "own": f"{tmp_path}/inner/a"},
        "labels": ["/m/09x0r", "a/b"],
        "n": 3,
    }
    assert published(record) == {"data": {"root": "../sounds", "own": "a"}, "labels": ["/m/09x0r", "a/b"], "n": 3}
    assert published_text(f"clip ({tmp_path}/inner/a.wav) is bad") == "clip (a.wav) is bad"


@pytest.mark.parametrize(
    "key",
    [
        "api_key",
        "apiKey",
        "API_KEY",
        "api-key",
        "wandb_api_key",
        "token",
        "hf_token",
        "accessToken",
        "auth_token",
        "password",
        "db_password",
        "passwd",
        "pwd",
        "secret",
        "client_secret",
        "secret_key",
        "aws_secret_access_key",
        "private_key",
        "credentials",
        "APIKEY",
        "webhook_url",
        "api_key_2",
    ],
)
def test_the_value_of_a_key_that_names_a_secret_is_hidden(key):
    assert is_secret(key)
    assert without_secrets({"a": [{key: "s3cret"}]}) == {"a": [{key: "***"}]}
    assert without_secrets({key: {"user": "me", "all": ["s3cret", 123456]}}) == {
        key: {"user": "***", "all": ["***"] * 2}
    }
    assert without_secrets({key: "", "n": None}) == {key: "", "n": None}
    for command in (f"train.py trackers.x.{key}=s3cret a=1", f"train.py 'trackers.x.{key}=s3cret b' a=1"):
        assert "s3cret" not in without_credentials(command)
        assert without_credentials(command).endswith(" a=1")


@pytest.mark.parametrize(
    "key",
    [
        "key",
        "keys",
        "tokens",
        "max_tokens",
        "tokenizer",
        "token_file",
        "label",
        "author",
        "fold_key",
        "n_token_length",
        "low_pass",
        "keyword",
    ],
)
def test_other_keys_keep_their_values(key):
    assert without_secrets({key: "a"}) == {key: "a"}
    assert without_credentials(f"data.params.{key}=a") == f"data.params.{key}=a"


def test_a_number_and_a_choice_under_such_a_key_stay():
    assert without_secrets({"token": 1, "password": 123456, "pwd": -123456, "secret": True}) == {
        "token": 1,
        "password": "***",
        "pwd": "***",
        "secret": True,
    }
    assert without_secrets({"label_weights": {"password": 2.0}}) == {"label_weights": {"password": 2.0}}
