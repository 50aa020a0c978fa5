"""Every activation passes every check of the public judge that applies to it; the judge finds planted faults."""

from __future__ import annotations

import pytest

from actlab.functions.activation import names
from actlab.testing import CHECKS, reason_to_skip

CASES = [(name, check) for name in names() for check in CHECKS]


@pytest.mark.parametrize(("name", "check"), CASES, ids=[f"{name}-{check.__name__}" for name, check in CASES])
def test_every_activation_passes_every_check_that_applies(name, check):
    reason = reason_to_skip(check, name)
    if reason:
        pytest.skip(reason)

    check(name)
