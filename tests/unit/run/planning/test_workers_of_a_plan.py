"""The plan says how many workers each process has, and why."""

import pytest

from pannsdist.run.planning.plan_table import plan_table
from pannsdist.runtime import cpu

TEXT = """
model: {name: small}
data: {name: tones, params: {classes: 2, clips_per_class: 8, valid_clips_per_class: 2, sample_rate_hz: 8000}}
train: {epochs: 3, batch_size: 4, crop_s: 0.5}
"""


@pytest.mark.parametrize(
    ("overrides", "workers", "line"),
    [
        ((), 3, "workers    3 of each process; for 12 cores\n"),
        (("data.workers=5",), 5, "workers    5 of each process\n"),
        (("data.workers=0",), 0, "workers    none: each process reads its clips itself\n"),
    ],
)
def test_the_plan_names_the_workers(decide, monkeypatch, overrides, workers, line):
    monkeypatch.setattr(cpu, "cores", lambda: 12)
    plan = decide(*overrides)
    assert plan.workers == workers
    assert line in plan_table(plan)
