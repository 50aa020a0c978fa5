"""Direction of a metric, as far as its name tells, and choice of the metric that is compared."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, Literal

__all__ = ["Direction", "direction_of", "first_known"]

Direction = Literal["max", "min"]

# fmt: off
_MAX: Final = frozenset({
    "accuracy", "acc", "top1", "top5", "f1", "auc", "auroc", "auprc", "ap", "map", "precision", "recall", "sensitivity", "specificity",
    "r2", "iou", "miou", "jaccard", "dice", "ndcg", "mrr", "bleu", "rouge", "meteor", "psnr", "ssim", "score", "reward", "kappa", "mcc",
    "correlation", "pearson", "spearman", "elbo", "likelihood",
})
_MIN: Final = frozenset({
    "loss", "error", "err", "perplexity", "ppl", "rmse", "mse", "mae", "mape", "rmsle", "nll", "bpc", "bpd", "cer", "wer", "fid", "kl",
    "crps", "brier", "ece", "logloss", "deviance", "regret",
})
# fmt: on
# Names that are recorded beside a metric: the loss of the training, what was measured on its data, and what chooses the learning rate.
_BESIDE: Final = frozenset({"loss", "validation"})
_OF_TRAINING: Final = frozenset({"train", "training", "tr", "running", "batch"})


def direction_of(name: str) -> Direction | None:
    """Return whether a larger or a smaller value of a metric is better; None where its name does not tell.

    Example:
        >>> direction_of("val_accuracy"), direction_of("perplexity"), direction_of("gap"), direction_of("testRMSE")
        ('max', 'min', None, 'min')
    """
    words = _words(name)
    up, down = bool(words & _MAX), bool(words & _MIN)
    if words & {"negative", "neg"}:
        up, down = down, up
    return None if up == down else "max" if up else "min"


def _words(name: str) -> set[str]:
    return set(re.findall(r"[a-z]+\d*|\d+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()))


def first_known(names: Sequence[str], *, any_direction: bool = False, is_all: bool = True) -> str | None:
    """Return the name of the metric that is compared: the first of known direction, of the training data only if there is no other.

    Args:
        names: in the order in which they are reported.
        any_direction: whether the direction is known otherwise, so that the first name will do.
        is_all: whether there are no other names; where there are, none of the training data is chosen.

    Example:
        >>> first_known(["loss", "epochs", "accuracy"]), first_known(["loss", "gap"]), first_known(["gap"], any_direction=True)
        ('accuracy', 'loss', 'gap')
    """
    beside = [name for name in names if name in _BESIDE or _words(name) & _OF_TRAINING]
    others = [name for name in names if name not in beside and (any_direction or direction_of(name))]
    training = [name for name in beside if is_all and name != "validation" and (any_direction or direction_of(name))]
    return next(iter([*others, *training]), None)
