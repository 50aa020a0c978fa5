"""Axes of a user's files, and what names them in a plan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from actlab.errors import DuplicateNameError
from actlab.evaluate.axis import Axis, axis
from actlab.evaluate.axis_registry import axes_named

ONE = "import actlab\n\n@actlab.axis('min', name='m')\ndef one(model, data):\n    return 1.0\n"


def of_text(text: str) -> Axis:
    names: dict[str, Any] = {"axis": axis}
    exec(text, names)  # noqa: S102 # as a file is run
    return next(value for value in names.values() if isinstance(value, Axis))


def test_two_axes_of_a_file_with_one_name_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "two.py"
    file.write_text(ONE + "\n@actlab.axis('max', name='m')\ndef other(model, data):\n    return 2.0\n")
    for wanted in (str(file), f"{file}:m"):
        with pytest.raises(DuplicateNameError, match="two axes with the name 'm'"):
            axes_named(wanted)
    file.write_text(ONE + "\nalias = one\n")
    assert [found.name for found in axes_named(str(file))] == ["m"]


def test_an_own_axis_with_the_name_of_a_built_in_one_is_refused_and_an_imported_one_is_none_of_the_file(
    tmp_path: Path,
) -> None:
    file = tmp_path / "own.py"
    file.write_text(ONE + "\n@actlab.axis('max')\ndef calibration(model, data):\n    return 2.0\n")
    with pytest.raises(DuplicateNameError, match="my_calibration"):
        axes_named(str(file))
    assert [found.name for found in axes_named(f"{file}:m")] == ["m"]
    file.write_text(ONE + "\nfrom actlab.evaluate.axes.calibration import CALIBRATION\n")
    assert [found.name for found in axes_named(str(file))] == ["m"]


def test_what_names_an_axis_in_a_plan_does_not_depend_on_the_order_of_a_set() -> None:
    """The order of a set of texts differs between processes, and a study is resumed by another one; 0 and 8 share a place."""
    body = "@axis()\ndef own(model, data):\n    return float(data.seed in {SET})\n"
    sources = [of_text(body.replace("SET", values)).source for values in ("0, 8", "8, 0", "0, 9")]
    assert sources[0] == sources[1] != sources[2]


def test_an_axis_whose_code_calls_or_holds_something_else_is_another() -> None:
    body = "LIMIT = 1\ndef half(x):\n    return x / 2\n@axis()\ndef own(model, data):\n    return half(LIMIT)\n"
    changed = [body, body.replace("x / 2", "x / 3"), body.replace("LIMIT = 1", "LIMIT = 2")]
    inner = "@axis()\ndef own(model, data):\n    return max(range(9), key=lambda x: NUMBER * x)\n"
    changed += [inner.replace("NUMBER", "1"), inner.replace("NUMBER", "-1")]
    assert len({of_text(text).source for text in changed}) == len(changed)
