"""Names in a sentence have commas and a final "and"."""

from __future__ import annotations

from actlab.system.name_list import listed


def test_names_have_commas_and_a_final_and() -> None:
    assert [listed(names) for names in ([], ["a"], ["a", "b"], iter("abc"))] == ["", "a", "a and b", "a, b and c"]
