"""Ratings are read from the user's files in the order of time, and every wrong file is refused with what is needed."""

import pytest

from actlab.errors import TaskError
from actlab.tasks import resolve
from actlab.tasks.builtin.recommendation.movielens import FOLDER_VARIABLE, read_ratings

ROWS = "2\t7\t3\t30\n1\t5\t4\t20\n1\t9\t2\t10\n2\t8\t1\t10\n1\t6\t5\t20\n2\t1682\t5\t20\n"


@pytest.mark.parametrize(
    "head", ["", "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"], ids=["u.data", "inter"]
)
def test_items_of_a_user_are_in_the_order_of_time_and_then_of_their_numbers(tmp_path, head):
    (tmp_path / "u.data").write_text(head + ROWS)

    found = read_ratings(tmp_path / "u.data")

    assert found.users.tolist() == [0, 0, 0, 1, 1, 1]
    assert (found.items + 1).tolist() == [9, 5, 6, 8, 1682, 7]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("1,2,3,4\n", "lines of user, item, rating and time, separated by tabs, are expected"),
        ("", "cannot be read as ratings"),
        (ROWS + "1\t1683\t3\t9\n", "has films from 5 to 1683; MovieLens 100K has 1 to 1682"),
        (ROWS + "3\t4\t3\t9\n", "users with fewer than 3 ratings"),
    ],
    ids=["commas", "empty", "another set", "few ratings"],
)
def test_a_file_that_is_wrong_is_refused_with_the_reason(tmp_path, content, said):
    (tmp_path / "u.data").write_text(content)

    with pytest.raises(TaskError, match=said):
        read_ratings(tmp_path / "u.data")


def test_the_folder_of_the_variable_is_read_and_one_without_the_file_is_an_error_that_says_where_to_get_it(
    tmp_path, monkeypatch
):
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    with pytest.raises(
        TaskError, match=f"was not found.*licence does not let it be shipped.*{FOLDER_VARIABLE}.*recbole.*dependencies"
    ):
        resolve("movielens").data(0)

    (tmp_path / "u.data").write_text(ROWS)
    assert resolve("movielens").data(0).test.y.tolist() == [5, 6]
