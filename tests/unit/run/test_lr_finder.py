"""A search for a learning rate: what it suggests, and that it leaves nothing behind."""

import numpy as np
import pytest

from pannsdist.cli import command_line
from pannsdist.run import lr_finder
from pannsdist.run.lr_finder import Search

pytestmark = pytest.mark.slow
TEXT = """
model: {name: panns_cnn6}
data: {name: tones, workers: 0, params: {classes: 2, clips_per_class: 4, valid_clips_per_class: 1}}
train: {batch_size: 4, crop_s: 0.4}
"""


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "run.yaml"
    path.write_text(TEXT, encoding="utf-8")
    return path


def valley(steps=100):
    """Flat, falling around 1e-3, rising at the end."""
    rates = np.geomspace(1e-6, 1, steps)
    losses = 2 - 1 / (1 + (1e-3 / rates) ** 2) + np.where(rates > 0.1, rates * 5, 0)
    return Search(tuple(rates), tuple(losses))


def test_the_suggestion_is_where_the_loss_falls_fastest():
    assert valley().suggestion == pytest.approx(1e-3, rel=0.5)


def test_a_loss_that_never_falls_suggests_nothing():
    search = Search(tuple(np.geomspace(1e-6, 1, 20)), tuple(np.arange(20.0)))
    assert search.suggestion is None
    assert "falls at no learning rate" in lr_finder.table(search)
    assert Search((), ()).suggestion is None


def test_the_table_is_short_and_ends_with_the_setting_to_use():
    lines = lr_finder.table(valley()).splitlines()
    assert len(lines) <= lr_finder.ROWS + 2
    assert "optimizer.learning_rate=" in lines[-1]


def test_a_search_prints_a_table_draws_a_curve_and_leaves_no_run(config, capsys):
    code = command_line.main(
        ["find-lr", "-c", str(config), "--steps", "12", "--plot", "curve.png", "schedule.warmup_epochs=0"]
    )
    out = capsys.readouterr().out
    assert code == 0
    assert "starts from random weights" in out
    assert out.count("e-0") >= 5
    assert (config.parent / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert {path.name for path in config.parent.iterdir()} == {"run.yaml", "curve.png"}


def test_a_search_ends_where_the_loss_blows_up(config):
    search = lr_finder.find(config, (), steps=40, limits=(1e-3, 1e6))
    assert 3 < len(search.rates) < 40
    assert all(np.isfinite(search.losses))


@pytest.mark.parametrize("arguments", [("--steps", "3"), ("--low", "1", "--high", "0.1")])
def test_limits_that_make_no_search_are_refused(config, capsys, arguments):
    assert command_line.main(["find-lr", "-c", str(config), *arguments]) == 2
    assert "--steps must be at least 10" in capsys.readouterr().err


def test_several_processes_are_refused(config, capsys, monkeypatch):
    monkeypatch.setenv("PADDLE_TRAINERS_NUM", "2")
    assert command_line.main(["find-lr", "-c", str(config)]) == 2
    assert "runs in one process" in capsys.readouterr().err
