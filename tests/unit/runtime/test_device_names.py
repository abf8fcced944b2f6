"""A device is chosen by one rule, and one that is not there is refused with what is there."""

import paddle
import pytest

from pannsdist.distributed import fleet
from pannsdist.runtime import devices
from pannsdist.runtime.errors import UserError

TWO = ("cpu", "gpu:0", "gpu:1")


@pytest.mark.parametrize(
    ("name", "expected"), [("cpu", "cpu"), ("gpu", "gpu:0"), ("gpu:0", "gpu:0"), ("gpu:1", "gpu:1")]
)
def test_a_name_means_a_device_that_is_there(name, expected):
    assert devices.find(name, TWO) == expected


@pytest.mark.parametrize(("name", "known"), [("gpu", ("cpu",)), ("gpu:0", ("cpu",)), ("gpu:2", TWO)])
def test_a_device_that_is_not_there_is_refused_with_those_that_are(name, known):
    with pytest.raises(UserError) as caught:
        devices.find(name, known)
    assert caught.value.wrong == f"there is no device '{name}'"
    assert caught.value.right.splitlines()[0] == f"there is: {', '.join(known)}"


@pytest.mark.parametrize(
    "name", ["cuda", "GPU", "gpu:", "gpu:-1", "gpu:01", "gpu:0,1", "0", " cpu", "gpu:99999", "cpu\n"]
)
def test_another_form_of_a_name_is_refused_with_the_right_one(name):
    with pytest.raises(UserError) as caught:
        devices.find(name, TWO)
    assert caught.value.right == "give cpu, gpu or gpu:N; there is: cpu, gpu:0, gpu:1"


def test_every_device_that_is_listed_can_be_selected_and_the_one_before_comes_back():
    before = paddle.get_device()
    for name in devices.available():
        with devices.selected(name):
            assert paddle.get_device() == name
            assert paddle.zeros([1]).place.is_cpu_place() is (name == "cpu")
        assert paddle.get_device() == before
    with devices.selected(""):
        assert paddle.get_device() == before


def test_a_training_chooses_among_the_same_devices():
    assert fleet.device() in devices.available()
    assert fleet.device(use_gpu=False) == devices.CPU
