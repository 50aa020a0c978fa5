"""Macro F1 is that of scikit-learn."""

import pytest
import torch
from sklearn.metrics import f1_score

from actlab.tasks.metrics.classification import macro_f1


@pytest.mark.parametrize("seed", range(5))
def test_macro_f1_is_that_of_scikit_learn(seed):
    generator = torch.Generator().manual_seed(seed)
    output, target = torch.randn(50, 6, generator=generator), torch.randint(5, (50,), generator=generator)

    assert macro_f1(output, target) == pytest.approx(f1_score(target, output.argmax(1), average="macro"), abs=1e-12)


def test_a_class_that_is_neither_predicted_nor_a_target_does_not_count():
    assert macro_f1(torch.tensor([[1.0, 0.0, 0.0]]), torch.tensor([0])) == 1.0
