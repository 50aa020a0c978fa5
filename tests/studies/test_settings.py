"""Settings of a study may be given as a record, as keyword options, or both."""

from typing import get_type_hints

import pytest
from tests.studies.tiny import tiny

from actlab.studies.plan import make_plan
from actlab.studies.settings import StudyOptions, StudySettings


def test_the_options_have_the_names_and_types_of_the_settings():
    assert get_type_hints(StudyOptions) == get_type_hints(StudySettings)


def test_a_record_and_keywords_give_the_same_plan():
    record = StudySettings(seeds=3, tune="lr", alpha=0.1)

    assert make_plan(tiny(), ["relu", "gelu"], settings=record) == make_plan(
        tiny(), ["relu", "gelu"], seeds=3, tune="lr", alpha=0.1
    )


def test_a_keyword_replaces_the_value_of_the_record():
    plan = make_plan(tiny(), ["relu", "gelu"], settings=StudySettings(seeds=3, alpha=0.1), seeds=5)

    assert (len(plan.seeds), plan.alpha) == (5, 0.1)


def test_an_unknown_option_is_refused_with_the_nearest_name():
    with pytest.raises(TypeError, match=r"unknown option 'seed'. Did you mean 'seeds'"):
        make_plan(tiny(), ["relu", "gelu"], seed=3)
