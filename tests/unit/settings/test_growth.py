"""A settings file of a few lines does not stand for more values than any memory holds."""

import pytest

from pannsdist import settings
from pannsdist.runtime.errors import SettingsError

LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 60))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize(
    ("text", "said"),
    [
        (LAUGHS, "more than 50,000 values, once its references are replaced"),
        ("a: &a\n  b: *a\n", "more than 50,000 values"),
        ("a: " + "[" * 5000, "not valid YAML"),
        ("# " + "x" * 300_000, "more than 262,144 bytes"),
        ("name: " + "${runs}" * 17, "more than 16 references"),
    ],
)
def test_a_file_that_grows_is_refused(tmp_path, text, said, encoding):
    (tmp_path / "run.yaml").write_text(text, encoding=encoding)
    with pytest.raises(SettingsError, match=said):
        settings.load(tmp_path / "run.yaml")


def test_anchors_of_use_are_followed(tmp_path):
    text = "name: run\nmodel: {name: small}\ndata: {name: listed, params: &p {a: 1}}\nfeature: {params: *p}\n"
    (tmp_path / "run.yaml").write_text(text + "train: {epochs: 1, batch_size: 2}\n")
    assert settings.load(tmp_path / "run.yaml")[0].feature.params == {"a": 1}
