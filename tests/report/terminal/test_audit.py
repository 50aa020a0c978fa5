"""Terminal view of an audit."""

import actlab
from actlab.evaluate.audit.finding import DataAudit, Finding

FINDING = Finding(
    kind="exact duplicates",
    splits=("test", "train"),
    count=12,
    share=0.1,
    examples=((3, 7), (4, 9)),
    sentence="12 of 120 test examples are also in train.",
    remedy="Remove them.",
)


def test_findings_come_first_with_their_examples_and_what_to_do():
    note = Finding(
        kind="constant feature", severity="note", count=1, share=0.1, sentence="[b]x[0] never changes.", remedy="-"
    )
    text = str(DataAudit(name="mine", sizes={"train": 500, "test": 120}, kinds={"x": "table"}, reports=(FINDING, note)))

    assert text.startswith("mine: 1 finding in 620 examples: exact duplicates.")
    assert (
        text.index("12 of 120")
        < text.index("Pairs (index in test, in train): (3, 7), (4, 9), ...")
        < text.index("Remove them")
    )
    assert text.index("Remove them") < text.index("[b]x[0] never changes")  # markup is not interpreted


def test_a_clean_audit_says_what_was_read_and_what_was_not_checked():
    text = str(actlab.audit("digits"))

    assert text.startswith("digits: No fault was found in 1,797 examples.")
    assert "Not checked: time order (the task names no times)" in " ".join(text.split())


def test_a_notebook_shows_it_as_html():
    audit = DataAudit(name="<mine>", sizes={"test": 1}, kinds={"x": "text"}, reports=(FINDING,))

    assert "&lt;mine&gt;" in audit._repr_html_()
