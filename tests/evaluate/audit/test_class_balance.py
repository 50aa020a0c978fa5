"""Missing, rare and unequal classes."""

from actlab.evaluate.audit.class_balance import balance_reports

NAMES = ["cat", "dog", "cow"]


def reports(**counts):
    return [(r.kind, r.severity) for r in balance_reports(counts, NAMES)]


def test_equal_classes_are_no_report():
    assert reports(train={0: 50, 1: 40, 2: 45}, test={0: 5, 1: 4, 2: 5}) == []


def test_unequal_classes_are_a_note_as_long_as_each_can_be_judged():
    assert reports(train={0: 5000, 1: 300}, test={0: 900, 1: 60}) == [("class imbalance", "note")]


def test_a_class_of_a_few_examples_beside_many_is_a_finding():
    assert reports(train={0: 5000, 1: 4}, test={0: 900, 1: 20}) == [("class imbalance", "note")]  # said of the test
    assert reports(train={0: 5000, 1: 30}, test={0: 900, 1: 4}) == [("class imbalance", "finding")]


def test_a_class_that_training_lacks_is_a_finding_and_one_that_the_test_lacks_a_note():
    assert reports(train={0: 50, 1: 50}, test={0: 5, 2: 5}) == [("missing class", "finding"), ("missing class", "note")]


def test_one_class_in_training_is_the_detection_of_anomalies():
    assert reports(train={0: 50}, test={0: 50, 1: 50}) == [("missing class", "note")]
