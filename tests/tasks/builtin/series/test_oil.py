"""Volatilities of oil prices are computed as by hand, and nothing of the future is in an input."""

import numpy as np
import pytest
import torch

from actlab.tasks.builtin.extracts import extract
from actlab.tasks.builtin.series import oil
from actlab.tasks.builtin.series.oil import error_to_naive, har_error


def test_prices_are_in_the_order_of_time_and_positive():
    prices = extract("oil")

    assert (np.diff(prices["day"]) > 0).all()
    assert (prices["price"] > 0).all()
    assert len(prices["price"]) == 8321


@pytest.mark.parametrize("origin", [0, 1234, 8255])
def test_an_example_has_the_returns_before_it_and_the_volatility_after_it(origin):
    x, y = oil._examples()
    price = extract("oil")["price"].astype(np.float64)
    past = [np.log(price[origin + k + 1] / price[origin + k]) for k in range(60)]
    future = [np.log(price[origin + k + 1] / price[origin + k]) for k in range(60, 65)]

    def volatility(returns):
        return np.log(np.sqrt(np.mean(np.square(returns))) + 1e-4)

    assert x[origin, 0].tolist() == pytest.approx([40 * value for value in past], abs=1e-5)
    assert float(y[origin, 0]) == pytest.approx(volatility(future), abs=1e-5)
    assert float(y[origin, 1]) == pytest.approx(volatility(past[-20:]), abs=1e-5)


def test_a_change_of_later_prices_changes_no_earlier_input_and_no_earlier_target(monkeypatch):
    before = oil._examples()
    prices = {**extract("oil")}
    prices["price"] = prices["price"].copy()
    prices["price"][5000:] *= np.linspace(1, 3, len(prices["price"]) - 5000, dtype=np.float32)
    monkeypatch.setattr(oil, "extract", {"oil": prices}.get)
    after = oil._examples.__wrapped__()

    known = 5000 - 65  # the first origin whose target ends at price 5000 is this one
    assert torch.equal(before[0][:known], after[0][:known])
    assert torch.allclose(before[1][:known], after[1][:known], atol=1e-6)
    assert not torch.allclose(before[1][known:], after[1][known:], atol=1e-3)


def test_the_naive_forecast_has_an_error_of_1_and_the_linear_regression_less_on_average():
    y = oil._examples()[1]

    assert error_to_naive(y[:, 1], y) == 1.0
    assert 0.9 < np.mean([har_error(seed) for seed in range(8)]) < 0.97
