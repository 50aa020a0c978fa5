"""Label errors by cleanlab, from own and given predictions."""

import builtins

import numpy as np
import pytest
from tests.evaluate.audit.planted import images, of_kind, split, table

import actlab
from actlab.errors import IntegrationError, TaskError


def cleanlab_is_there():
    pytest.importorskip("cleanlab")


def test_flipped_labels_are_among_those_that_are_named():
    cleanlab_is_there()
    x, y = images()
    wrong = np.arange(600, 620)
    y[wrong] = (y[wrong] + 3) % 10

    report = of_kind(actlab.audit(split(x, y), label_errors=True), "label errors", "train")[0]

    assert report.severity == "note"
    assert 18 <= report.count <= 30
    assert {example + 539 for example in report.examples} <= set(wrong.tolist())  # the ten most doubtful


def test_given_predictions_are_used_in_the_order_of_the_classes():
    cleanlab_is_there()
    x, y = images()
    sure = 0.9 * np.eye(10)[y] + 0.01
    y[[540, 3]] = (y[[540, 3]] + 1) % 10
    data = split(x, y)

    found = actlab.audit(data, label_errors=True, predictions={"train": sure[539:], "test": sure[:539]})

    assert of_kind(found, "label errors", "train")[0].examples == (1,)
    assert of_kind(found, "label errors", "test")[0].examples == (3,)


@pytest.mark.parametrize(
    ("given", "message"), [(np.ones((3, 2)), r"shape \(398, 2\)"), (np.full((398, 2), 3.0), "take the softmax")]
)
def test_predictions_of_another_form_are_refused(given, message):
    cleanlab_is_there()

    with pytest.raises(TaskError, match=message):
        actlab.audit(split(*table()), label_errors=True, predictions={"train": given})


def test_without_cleanlab_the_install_line_is_told_before_anything_is_read(monkeypatch):
    real = builtins.__import__

    def absent(name, *rest):
        if name.partition(".")[0] == "cleanlab":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", absent)

    with pytest.raises(IntegrationError, match=r"pip install 'actlab\[audit\]'"):
        actlab.audit({"train": None}, label_errors=True)
    monkeypatch.undo()
