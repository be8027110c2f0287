"""Where training runs: devices that are not there are refused, and the caller's settings come back."""

import pytest
import torch

from chordkit.errors import InputError
from chordkit.training.device import torch_arithmetic, torch_device


def test_the_processor_is_always_there() -> None:
    assert torch_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize(("name", "says"), [("gpu", "unknown"), ("", "unknown"), ("meta", "not supported")])
def test_a_device_that_training_does_not_know_is_refused_by_name(name: str, says: str) -> None:
    with pytest.raises(InputError, match=f"device = '{name}' is {says}: use cpu or cuda"):
        torch_device(name)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_a_missing_cuda_device_is_refused() -> None:
    with pytest.raises(InputError, match="device = 'cuda', but this torch sees no CUDA device: use cpu"):
        torch_device("cuda")


@pytest.mark.parametrize("number", [0, 1, 3])
def test_threads_are_set_inside_and_come_back_after_an_error_too(number: int) -> None:
    before = torch.get_num_threads()
    with pytest.raises(KeyError), torch_arithmetic(number):
        assert torch.get_num_threads() == (number or before)
        raise KeyError
    assert torch.get_num_threads() == before


def test_products_stay_those_of_float32_and_the_callers_setting_comes_back() -> None:
    products, one = torch.backends.mkldnn.matmul, torch.eye(64)  # type: ignore[attr-defined]
    before, finer = products.fp32_precision, one * (1.0 + 2.0**-20)
    with torch_arithmetic(1):
        assert torch.equal(finer @ one, finer) and torch.equal(torch.bmm(finer[None], one[None])[0], finer)
    assert products.fp32_precision == before
