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
# Names that are recorded beside a metric: the loss of the training, and what chooses the learning rate.
_BESIDE: Final = frozenset({"loss", "train_loss", "validation"})


def direction_of(name: str) -> Direction | None:
    """Return whether a larger or a smaller value of a metric is better; None where its name does not tell.

    Example:
        >>> direction_of("val_accuracy"), direction_of("perplexity"), direction_of("gap"), direction_of("testRMSE")
        ('max', 'min', None, 'min')
    """
    words = set(re.findall(r"[a-z]+\d*|\d+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()))
    up, down = bool(words & _MAX), bool(words & _MIN)
    if words & {"negative", "neg"}:
        up, down = down, up
    return None if up == down else "max" if up else "min"


def first_known(names: Sequence[str], *, any_direction: bool = False) -> str | None:
    """Return the name of the metric that is compared: the first whose direction is known, a training loss only if there is no other.

    Args:
        names: in the order in which they are reported.
        any_direction: whether the direction is known otherwise, so that the first name will do.

    Example:
        >>> first_known(["loss", "epochs", "accuracy"]), first_known(["loss", "gap"]), first_known(["gap"], any_direction=True)
        ('accuracy', 'loss', 'gap')
    """
    beside = [name for name in names if name in _BESIDE]
    others = [name for name in names if name not in _BESIDE and (any_direction or direction_of(name))]
    return next(iter([*others, *(name for name in beside if name != "validation")]), None)
