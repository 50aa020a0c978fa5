"""Names in a sentence have commas and a final "and"; a number at the end of a name has one spelling."""

from __future__ import annotations

import pytest

from actlab.system.name_list import listed, split_number


def test_names_have_commas_and_a_final_and() -> None:
    assert [listed(names) for names in ([], ["a"], ["a", "b"], iter("abc"))] == ["", "a", "a and b", "a, b and c"]


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("depth-16", ("depth", 16)),
        ("a:b-c-0", ("a:b-c", 0)),
        ("ones-0.5", ("ones", 0.5)),
        ("ones-10.25", ("ones", 10.25)),
    ],
)
def test_a_name_is_split_before_its_number(name, parts):
    assert split_number(name) == parts
    assert type(split_number(name)[1]) is type(parts[1])


@pytest.mark.parametrize(
    "name",
    [
        "depth",
        "depth-",
        "depth-016",
        "depth-1.0",
        "depth-.5",
        "depth--1x",
        "depth-1e3",
        "-3",
        "depth-1 ",
        "depth-\u0663",
    ],
)
def test_other_names_have_no_number(name):
    assert split_number(name) is None
