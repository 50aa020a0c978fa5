"""Decorators applied to another method do what they did around the first, or are refused."""

from __future__ import annotations

import functools

import pytest

from actlab.nn.source.decorators import rewrap


def one(x):
    return x + 1


def hundred(x):
    return x + 100


def doubled(function):
    @functools.wraps(function)
    def wrapper(*args):
        return 2 * function(*args)

    return wrapper


def counted(function):
    calls = [0]

    @functools.wraps(function)
    def wrapper(*args):
        calls[0] += 1
        return function(*args) + 1000 * calls[0]

    return wrapper


def test_a_function_without_wrappers_is_replaced_as_it_is():
    assert rewrap(one, hundred) is hundred


def test_wrappers_stay_in_their_order_and_share_what_they_shared():
    held = doubled(counted(one))

    new = rewrap(held, hundred)

    assert [held(1), new(1), held(1)] == [2 * 1002, 2 * 2101, 2 * 3002]
    assert (new.__name__, new.__wrapped__.__wrapped__) == ("one", hundred)
    assert held.__wrapped__.__wrapped__ is one  # the original is unchanged


def test_defaults_and_attributes_of_a_wrapper_are_kept():
    def wrapped(function):
        @functools.wraps(function)
        def wrapper(x, *, times=3):
            return times * function(x)

        wrapper.mark = "kept"
        return wrapper

    new = rewrap(wrapped(one), hundred)

    assert (new(1), new(1, times=1), new.mark) == (303, 101, "kept")


def in_an_object(function):
    held = functools.partial(function)

    @functools.wraps(function)
    def wrapper(*args):
        return held(*args)

    return wrapper


def in_a_helper(function):
    def helper(*args):
        return function(*args)

    @functools.wraps(function)
    def wrapper(*args):
        return helper(*args)

    return wrapper


def twice(function):
    """Holds the function in its closure, and again in a list."""
    others = [function]

    @functools.wraps(function)
    def wrapper(x):
        return others[0](x) if x else function(x)

    return wrapper


def in_a_default(function):
    @functools.wraps(function)
    def wrapper(x, other=function):
        return other(x) if x else function(x)

    return wrapper


def by_its_attribute(function):
    @functools.wraps(function)
    def wrapper(*args):
        return wrapper.__wrapped__(*args)

    return wrapper


def in_a_class(function):
    class Caller:
        def __call__(self, *args):
            return self.run(*args)

        run = staticmethod(function)

    return functools.update_wrapper(Caller(), function)


@pytest.mark.parametrize("hiding", [in_an_object, in_a_helper, twice, in_a_default, by_its_attribute, in_a_class])
def test_a_wrapper_that_may_go_on_running_the_old_one_is_refused(hiding):
    held = hiding(one)
    assert held(1) == 2

    assert rewrap(held, hundred) is None
    assert rewrap(doubled(held), hundred) is None
