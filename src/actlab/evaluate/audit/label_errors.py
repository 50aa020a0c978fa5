"""Labels that out-of-sample predictions contradict, found by cleanlab."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from actlab.errors import IntegrationError, TaskError
from actlab.evaluate.audit.finding import EXAMPLES_SHOWN, Finding
from actlab.system.plural import plural

__all__ = ["find_label_issues", "given_probabilities", "label_error_reports", "predicted_probabilities"]

_FOLDS: Final = 5
_ROWS: Final = 10_000
_MOST_FEATURES: Final = 50  # of which trees are made; of more, such as pixels, neighbours
_NEIGHBOURS: Final = 20


def find_label_issues() -> Callable[..., Any]:
    """Return cleanlab's function of that name.

    Raises:
        IntegrationError: cleanlab is not installed; the message has the install line.
    """
    try:
        from cleanlab import filter as cleanlab_filter  # noqa: PLC0415 # an extra, imported only where it is used
    except ImportError as error:
        raise IntegrationError(
            "Label errors are found by cleanlab, which is not installed: pip install 'actlab[audit]'. "
            "All other checks do without it: leave out label_errors (--label-errors)."
        ) from error
    function: Callable[..., Any] = cleanlab_filter.find_label_issues
    return function


def predicted_probabilities(rows: npt.NDArray[Any], classes: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return out-of-sample probabilities of the classes by five-fold cross-validation of a standard classifier.

    Gradient boosting for up to 50 features, the 20 nearest neighbours for more.

    Args:
        rows: shape (n, features).
        classes: codes from 0 without gaps, shape (n,), five examples or more of each.

    Example:
        >>> y = np.arange(100) % 2
        >>> found = predicted_probabilities(np.random.default_rng(0).normal(size=(100, 3)) + 4 * y[:, None], y)
        >>> (found.argmax(1) == y).mean() > 0.9
        np.True_
    """
    from sklearn.ensemble import HistGradientBoostingClassifier  # noqa: PLC0415 # slow to import
    from sklearn.model_selection import StratifiedKFold, cross_val_predict  # noqa: PLC0415 # as above
    from sklearn.neighbors import KNeighborsClassifier  # noqa: PLC0415 # as above

    model: Any = (
        HistGradientBoostingClassifier(max_iter=50, random_state=0)
        if rows.shape[1] <= _MOST_FEATURES
        else KNeighborsClassifier(min(_NEIGHBOURS, max(1, len(rows) // 10)))
    )
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=0)
    found: npt.NDArray[np.float64] = cross_val_predict(
        model, np.nan_to_num(rows.astype(np.float32)), classes, cv=folds, method="predict_proba"
    )
    return found


def label_error_reports(
    split: str, classes: npt.NDArray[np.int64], probabilities: npt.NDArray[Any], index: npt.NDArray[np.int64]
) -> Iterator[Finding]:
    """Yield the report of labels that contradict the predictions by confident learning (Northcutt et al., JAIR 70, 2021).

    It is a note: cleanlab has no stated error rate, and on clean data of overlapping classes some labels are contradicted too.

    Args:
        split: of the examples.
        classes: codes from 0 without gaps, shape (n,).
        probabilities: out-of-sample predictions, shape (n, classes).
        index: of the examples in the split, shape (n,).

    Raises:
        IntegrationError: cleanlab is not installed.
    """
    with warnings.catch_warnings(action="ignore"):  # of classes with few examples
        ranked = find_label_issues()(
            labels=classes, pred_probs=probabilities, return_indices_ranked_by="self_confidence", n_jobs=1
        )
    if not len(ranked):
        return
    yield Finding(
        kind="label errors",
        severity="note",
        splits=(split,),
        count=len(ranked),
        share=len(ranked) / len(classes),
        examples=tuple(index[ranked[:EXAMPLES_SHOWN]].tolist()),
        sentence=f"The labels of {plural(len(ranked), 'example')} of {len(classes):,} of {split} contradict out-of-sample predictions.",
        remedy="Look at them, the most doubtful first, and correct what is wrong.",
    )


def given_probabilities(
    predictions: Mapping[str, Any], split: str, size: int, index: npt.NDArray[np.int64], classes: int
) -> npt.NDArray[np.float64]:
    """Return the rows of the given predictions of a split.

    Args:
        predictions: probabilities by split, shape (examples, classes).
        split: whose rows are asked for.
        size: examples of the split.
        index: of the examples.
        classes: number of classes.

    Raises:
        TaskError: they have another shape, or rows are no probabilities.
    """
    given = np.asarray(predictions[split], dtype=np.float64)
    if given.shape != (size, classes):
        raise TaskError(
            f"The predictions for {split} have shape {given.shape}; out-of-sample probabilities of shape ({size}, {classes}) are needed, a "
            "row for each example and a column for each class, in the order of the classes."
        )
    if not np.isfinite(given).all() or given.min() < 0 or np.abs(given.sum(1) - 1).max() > 1e-3:
        raise TaskError(
            f"The predictions for {split} are no probabilities: rows must be from 0 up and sum to 1. Of logits, take the softmax."
        )
    return given[index]
