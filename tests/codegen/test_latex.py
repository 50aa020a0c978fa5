"""LaTeX of every formula, and an error for tensor code."""

from __future__ import annotations

import pytest

from actlab.codegen.latex import latex, plain
from actlab.functions.activation import get, names


@pytest.mark.parametrize("name", names("elementwise") + names("gated"))
@pytest.mark.parametrize("slope", [False, True])
def test_every_formula_prints_with_balanced_braces(name, slope):
    text = latex(get(name), derivative=slope)

    assert text.count("{") == text.count("}")
    assert text.count(r"\left") == text.count(r"\right")
    assert not any(word in text for word in ("where", "maximum", "normal_cdf", "clamped", "tamed")), text


@pytest.mark.parametrize(
    ("name", "expected"),
    [
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
