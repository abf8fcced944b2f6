"""The engines are measured on this machine, and the fastest is written down."""

import numpy as np
import pytest
import tiny_sounds
from test_selection import ImageLayer
from tiny_sounds import noise

from pannsdist.inference.engines import kinds, measuring
from pannsdist.inference.engines.measuring import Arm, Timing, agreement, measure
from pannsdist.runtime import cpu
from pannsdist.runtime.errors import UserError


def test_every_engine_is_compared_and_timed(monkeypatch):
    def refuse(_):
        raise UserError("ONNX needs onnx")

    kind = kinds.ENGINES["onnx"]
    monkeypatch.setitem(kinds.ENGINES, "onnx", kinds.EngineKind(kind.what, kind.precisions, refuse, kind.build))
    monkeypatch.setattr(measuring, "BATCHES", (2, 8))
    found = measure(tiny_sounds.inference_model(ImageLayer), "fp32", noise(3, 1600), 1)
    assert found.refused["onnx"] == "ONNX needs onnx"
    assert {"dygraph", "paddle"} <= set(found.agreements) == {one.arm.engine for one in found.timings}
    assert all(close.difference < 1e-5 and close.same_top == 1 for close in found.agreements.values())
    assert {one.arm.batch_size for one in found.timings} == {2, 8}
    row = found.row
    assert (row.family, row.precision, row.cores) == ("convolutional", "fp32", cpu.cores())
    assert row.engine in found.agreements and row.fits("convolutional", "fp32")
    text = "\n".join(measuring.lines(found))
    assert "onnx      not measured: ONNX needs onnx" in text
    assert "top class equal in 100%" in text


def timing(engine, batch_size, speed):
    return Timing(Arm(engine, batch_size, 2), (speed,), 0.1)


@pytest.mark.parametrize(
    ("speeds", "best"),
    [
        ([("a", 8, 10.0), ("a", 16, 10.2), ("b", 8, 9.0)], ("a", 8)),
        ([("a", 8, 10.0), ("a", 16, 11.0), ("b", 8, 9.0)], ("a", 16)),
        ([("a", 8, 10.0), ("b", 8, 10.1)], ("b", 8)),
    ],
)
def test_another_batch_than_eight_must_gain(speeds, best):
    found = measuring._best([timing(*one) for one in speeds])
    assert (found.arm.engine, found.arm.batch_size) == best


def test_the_agreement_counts_top_classes_and_the_largest_difference():
    expected = np.array([[0.9, 0.1], [0.4, 0.6]], np.float32)
    found = agreement(np.array([[0.8, 0.1], [0.7, 0.6]], np.float32), expected)
    assert (round(found.difference, 6), found.same_top) == (0.3, 0.5)


def test_a_precision_that_no_engine_has_is_refused(monkeypatch):
    monkeypatch.setattr(kinds, "refusal", lambda _: "no bfloat16 here")
    with pytest.raises(UserError, match=r"no engine runs bf16 here: .*no bfloat16 here.*\n  choose --precision fp32"):
        measure(tiny_sounds.inference_model(ImageLayer), "bf16", noise(1, 1600), 1)
