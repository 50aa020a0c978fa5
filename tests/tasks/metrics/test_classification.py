"""Macro F1 and AUROC are those of scikit-learn."""

import pytest
import torch
from sklearn.metrics import f1_score, roc_auc_score

from actlab.errors import TaskError
from actlab.tasks.metrics.classification import auroc, macro_f1


@pytest.mark.parametrize("seed", range(5))
def test_macro_f1_is_that_of_scikit_learn(seed):
    generator = torch.Generator().manual_seed(seed)
    output, target = torch.randn(50, 6, generator=generator), torch.randint(5, (50,), generator=generator)

    assert macro_f1(output, target) == pytest.approx(f1_score(target, output.argmax(1), average="macro"), abs=1e-12)


def test_a_class_that_is_neither_predicted_nor_a_target_does_not_count():
    assert macro_f1(torch.tensor([[1.0, 0.0, 0.0]]), torch.tensor([0])) == 1.0


@pytest.mark.parametrize("seed", range(5))
def test_auroc_is_that_of_scikit_learn_with_equal_scores_too(seed):
    generator = torch.Generator().manual_seed(seed)
    scores, target = torch.randint(9, (60,), generator=generator).float(), torch.randint(2, (60,), generator=generator)

    assert auroc(scores, target) == pytest.approx(roc_auc_score(target, scores), abs=1e-12)


def test_auroc_of_one_class_is_refused():
    with pytest.raises(TaskError, match="there are 3 and 0"):
        auroc(torch.ones(3), torch.ones(3))
