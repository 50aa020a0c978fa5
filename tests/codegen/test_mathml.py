"""Well-formed MathML of every formula, with the same mathematics."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from actlab.codegen.mathml import CALLS, SPECIAL, mathml
from actlab.functions import formula
from actlab.functions.activation import activation, forget, get, names

FORMULAS = [*names("elementwise"), *names("gated")]
TAGS = {"math", "mrow", "mi", "mn", "mo", "mfrac", "msup", "msub", "msqrt", "mspace", "mtable", "mtr", "mtd", "mtext"}
CHILDREN = {"mfrac": 2, "msup": 2, "msub": 2, "msqrt": 1}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("silu", "x\u03c3(x)"),
        ("relu", "max(x,0)"),
        ("square", "x2"),
        ("gaussian", "e−x2"),  # noqa: RUF001 MathML's minus sign
        ("bilinear", "gate·value"),
        ("elu", "{xx>0α(ex−1)otherwise"),  # noqa: RUF001 MathML's minus sign
    ],
)
def test_a_formula_reads_as_mathematics(name, text):
    root = ElementTree.fromstring(mathml(get(name)))  # noqa: S314 generated here

    assert "".join(root.itertext()) == text


@pytest.mark.parametrize("name", FORMULAS)
def test_every_formula_is_well_formed_and_has_every_symbol(name):
    record = get(name)
    root = ElementTree.fromstring(mathml(record))  # noqa: S314 as above

    assert {node.tag for node in root.iter()} <= TAGS
    assert all(len(node) == CHILDREN[node.tag] for node in root.iter() if node.tag in CHILDREN)
    shown = "".join(root.itertext())
    for symbol in record.formula.free_symbols & set(record.inputs):
        assert symbol.name in shown


@pytest.mark.parametrize("name", names("elementwise")[::7])
def test_derivatives_are_well_formed_too(name):
    ElementTree.fromstring(mathml(get(name), slope=True))  # noqa: S314 as above


def test_every_primitive_has_a_spelling():
    written_by_rewriting = {"capped", "clamped", "hypot", "reciprocal", "tamed"}

    spelled = {primitive.__name__ for primitive in (*CALLS, *SPECIAL)}
    assert spelled == set(formula.PRIMITIVES) - written_by_rewriting


def test_precedence_keeps_its_parentheses():
    @activation(paper="a test")
    def nested(x, a: float = 1.0):
        """A test of parentheses."""
        return (x + 1) ** 2 * (a - x) / (2 * (x - a)) - (x - 3) + formula.exp(-x) ** -1

    try:
        text = "".join(ElementTree.fromstring(mathml(get("nested"))).itertext())  # noqa: S314 as above
    finally:
        forget("nested")
    assert "(x+1)2" in text
    assert "(a−x)" in text  # noqa: RUF001 as above


def test_numbers_are_short_and_infinitely_small_ones_have_a_power_of_ten():
    @activation(paper="a test")
    def numbers(x):
        """A test of numbers."""
        return 1e-12 * x + 0.1 * x**3

    try:
        text = "".join(ElementTree.fromstring(mathml(get("numbers"))).itertext())  # noqa: S314 as above
    finally:
        forget("numbers")
    assert text == "0.1x3+1·10−12x"  # noqa: RUF001 as above


def test_names_are_escaped():
    @activation(paper="a test")
    def named(x, gamma_2: float = 1.0):
        """A test of names."""
        return gamma_2 * x

    try:
        assert "<msub><mi>γ</mi><mn>2</mn></msub>" in mathml(get("named"))  # noqa: RUF001 the Greek letter
    finally:
        forget("named")
