"""LaTeX of every formula, and an error for tensor code."""

from __future__ import annotations

import pytest

from actlab.codegen.latex import latex, plain
from actlab.codegen.mathml import mathml
from actlab.functions import formula
from actlab.functions.activation import Activation, get, names


@pytest.mark.parametrize("name", names("elementwise") + names("gated"))
@pytest.mark.parametrize("slope", [False, True])
def test_every_formula_prints_with_balanced_braces(name, slope):
    text = latex(get(name), derivative=slope)

    assert text.count("{") == text.count("}")
    assert text.count(r"\left") == text.count(r"\right")
    assert not any(word in text for word in ("where", "maximum", "normal_cdf", "clamped", "tamed")), text


CODE_ONLY = ("clamped", "capped", "tamed", "reciprocal", "hypot", "held_", "huge_")


@pytest.mark.parametrize("name", names("elementwise") + names("gated"))
def test_no_printer_shows_a_primitive_of_code(name):
    record = get(name)

    texts = [printer(record, derivative=slope) for printer in (latex, plain) for slope in (False, True)]
    texts += [mathml(record, slope=slope) for slope in (False, True)]

    assert not [word for word in CODE_ONLY if any(word in text for text in texts)]


def test_primitives_of_code_are_printed_as_the_plain_formula():
    x = get("silu").inputs[0]
    root = formula.cos(formula.clamped(x, 0)) / formula.hypot(x, 2) * formula.reciprocal(formula.exp(formula.tamed(x)))
    record = Activation(name="root", kind="elementwise", family="test", doc="A root.", expression=root, inputs=(x,))

    assert plain(record) == "cos(x)/(sqrt(x**2 + 4)*exp(x))"
    assert "sqrt" in latex(record)
    assert "<msqrt>" in mathml(record)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("reglu", r"\mathrm{value} \cdot \max\left(\mathrm{gate},\,0\right)"),
        ("silu", r"x \sigma\left(x\right)"),
        ("gelu", r"x \Phi\left(x\right)"),
        ("relu", r"\max\left(x,\,0\right)"),
        ("leaky_relu", r"\begin{cases}x & x > 0\\\mathrm{negative\_slope} x & \text{otherwise}\end{cases}"),
        ("swish", r"x \sigma\left(\beta x\right)"),
        ("squared_relu", r"\left(\max\left(x,\,0\right)\right)^{2}"),
        ("prelu", r"\begin{cases}x & x > 0\\\mathrm{weight} x & \text{otherwise}\end{cases}"),
    ],
)
def test_formulas_read_as_the_papers_write_them(name, expected):
    assert expected == latex(get(name))


def test_the_plain_text_is_one_line():
    assert plain(get("mish")) == "x*tanh(softplus(x))"


def test_tensor_code_has_no_latex_and_says_so():
    with pytest.raises(TypeError, match="vector function"):
        latex(get("softmax"))
