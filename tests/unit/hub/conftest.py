"""The model `plain` installed, and random weights in the place of its published ones."""

import hub_parts
import paddle
import pytest

from pannsdist import hub
from pannsdist.hub import devices

LABELS = {0: "low", 1: "middle", 2: "high"}


@pytest.fixture(autouse=True)
def _plain(home, tmp_path, monkeypatch):
    folder = tmp_path / "installed"
    hub_parts.install(folder)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.chdir(tmp_path)
    devices._warn_no_gpu.cache_clear()
    paddle.seed(7)
    hub_parts.put_weights(hub_parts.Plain, hub_parts.PlainLayer(hub_parts.BINS, 527))
    assert home.is_dir()


@pytest.fixture
def module():
    """A module of three classes, the same each time that it is made."""

    def made(**options):
        paddle.seed(1)
        return hub.Module(**{"name": "plain", "task": "sound-cls", "label_map": LABELS, **options})

    return made
