"""Fixed point of RANI at mean 0 and variance 1, in closed form."""

import sympy

from actlab.functions.formula import Expr, expm1, where
from actlab.functions.formula.evaluate import numeric
from actlab.functions.formula.quadrature import breakpoints, normal_mean
from actlab.studies.claims.claim import Claim, Exact, Part, Source

_X = sympy.Symbol("x", real=True)
_ALPHA, _LAMBDA = 1.6733, 1.0507  # as the package has them


def _rani() -> Expr:
    return _LAMBDA * where(_X > 0, _X * (1 + _ALPHA * _X) / (1 + _X), _ALPHA * expm1(_X))


def mean() -> float:
    """Return the mean of the outputs for N(0, 1) inputs."""
    function = numeric(_rani(), (_X,))
    return normal_mean(function, breakpoints(_rani(), _X))


def second_moment() -> float:
    """Return the mean of the squared outputs for N(0, 1) inputs."""
    function = numeric(_rani(), (_X,))
    return normal_mean(lambda z: function(z) ** 2, breakpoints(_rani(), _X))


claim = Claim(
    sentence="RANI's constants are the exact solution of E f(z) = 0 and E f(z)^2 = 1 for z from N(0, 1).",
    source=Source(text="Package rani 1.0.1, documentation of rani/torch_rani.py", url="https://pypi.org/project/rani/"),
    domain="theory",
    about=("self-normalisation",),
    parts=(
        # 1e-3: the constants are given to four decimals, and those of SELU solve its own equations to 4e-5
        Part(says="the mean is 0", exact=Exact(compute=mean, claimed=0.0, tolerance=1e-3)),
        Part(says="the second moment is 1", exact=Exact(compute=second_moment, claimed=1.0, tolerance=1e-3)),
    ),
    note=(
        "The formula of the package: lambda x (1 + alpha |x|) / (1 + |x|) for x >= 0, lambda alpha (exp(x) - 1) below, with the constants "
        "of SELU, whose equations they do solve."
    ),
)
