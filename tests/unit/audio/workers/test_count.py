"""The number of workers follows from the cores of a process, unless the settings say one."""

import pytest

from pannsdist.audio.workers.count import worker_count
from pannsdist.runtime import cpu


@pytest.mark.parametrize(
    ("cores", "processes", "on_gpu", "expected"),
    [
        *((cores, 1, False, expected) for cores, expected in ((1, 1), (2, 1), (8, 2), (64, 8))),
        *((cores, 2, False, expected) for cores, expected in ((2, 1), (16, 2))),
        *((cores, 1, True, expected) for cores, expected in ((1, 1), (2, 1), (8, 7), (64, 8))),
        *((64, processes, True, expected) for processes, expected in ((8, 7), (16, 3), (64, 1), (128, 1))),
    ],
)
def test_workers_by_the_cores_of_a_process(cores, processes, on_gpu, expected, monkeypatch):
    monkeypatch.setattr(cpu, "cores", lambda: cores)
    assert worker_count("auto", processes, on_gpu) == expected
    assert worker_count(5, processes, on_gpu) == 5
    assert worker_count(0, processes, on_gpu) == 0
