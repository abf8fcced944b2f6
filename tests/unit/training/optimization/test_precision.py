"""Loss scaling, and where half precision has an effect."""

import paddle

from pannsdist.training.optimization.precision import (
    GROWTH_INTERVAL,
    INITIAL_SCALE,
    LossScale,
    autocast,
    has_effect,
    needs_loss_scale,
)

YES, NO = paddle.to_tensor(True), paddle.to_tensor(False)


def test_half_precision_has_an_effect_on_a_gpu_alone():
    assert has_effect("fp16", "gpu:0")
    assert has_effect("bf16", "gpu:0")
    assert not has_effect("bf16", "cpu")
    assert not has_effect("none", "gpu:0")


def test_fp16_alone_needs_a_loss_scale():
    """bf16 holds small gradients, since its exponent is that of float32; in fp16 they are zero."""
    assert needs_loss_scale("fp16", "gpu:0")
    assert not any(needs_loss_scale(*case) for case in (("bf16", "gpu:0"), ("none", "gpu:0"), ("fp16", "cpu")))
    small = paddle.full([], 2.0**-100)
    assert float(small.astype("bfloat16").astype("float32")) == 2.0**-100
    assert float(small.astype("float16").astype("float32")) == 0.0


def test_autocast_is_not_entered_on_a_cpu():
    with autocast("bf16", "cpu"):
        product = paddle.ones([2, 2]) @ paddle.ones([2, 2])
    assert product.dtype == paddle.float32


def test_the_scale_is_halved_by_an_overflow_and_doubled_after_consecutive_finite_steps():
    scale = LossScale(enabled=True)
    scale.update(NO)
    assert scale.value == INITIAL_SCALE / 2
    for _ in range(GROWTH_INTERVAL - 1):
        scale.update(YES)
    assert scale.value == INITIAL_SCALE / 2
    scale.update(YES)
    assert scale.value == INITIAL_SCALE
    for _ in range(GROWTH_INTERVAL - 1):
        scale.update(YES)
    assert scale.value == INITIAL_SCALE
    scale.update(YES)
    assert scale.value == 2 * INITIAL_SCALE


def test_the_scale_never_falls_below_one():
    scale = LossScale(enabled=True)
    for _ in range(40):
        scale.update(NO)
    assert scale.value == 1.0
    assert not scale.may_overflow(YES)


def test_a_restored_scale_continues_counting():
    scale, again = LossScale(enabled=True), LossScale(enabled=True)
    scale.update(NO)
    for _ in range(GROWTH_INTERVAL - 1):
        scale.update(YES)
    again.restore(scale.state())
    again.update(YES)
    assert again.value == INITIAL_SCALE


def test_a_disabled_scale_is_one_and_has_no_state():
    scale = LossScale(enabled=False)
    scale.update(NO)
    scale.restore({})
    assert (scale.value, bool(scale.may_overflow(YES)), scale.state()) == (1.0, False, {})
