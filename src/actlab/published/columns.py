"""Meaning of the columns of a published table, from their names and cells."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from actlab.errors import TableError, did_you_mean
from actlab.published.cells import clean, has_two_numbers, is_missing, is_number
from actlab.published.text_file import RawTable

__all__ = ["Columns", "direction_of", "find_columns", "level_of", "possible_range", "runs_in"]

_NAMES = {
    "activation",
    "activations",
    "function",
    "functions",
    "name",
    "model",
    "method",
    "arm",
    "ffn",
    "variant",
    "baseline",
    "baselines",
}
_MEANS = {"mean", "means", "avg", "average", "mu", "μ"}
_SDS = {"sd", "sds", "std", "stdev", "stddev", "sigma", "deviation"}
_SES = {"se", "sem", "stderr"}
_LOW, _HIGH = {"low", "lower", "lo", "lcl", "lwr"}, {"high", "higher", "upper", "hi", "ucl", "upr"}
_INTERVAL = {"ci", "cis", "confidence", "interval", "bound", "limit"}
_RUNS = {
    "runs",
    "seeds",
    "trials",
    "repeats",
    "repetitions",
    "replicates",
    "replications",
    "nruns",
    "nseeds",
}
_CORRECTED = {"adj", "adjusted", "corrected", "holm", "bonferroni", "fdr"}
_SMALLER = {
    "loss", "error", "errors", "err", "perplexity", "ppl", "mse", "rmse", "mae", "wer", "cer", "nll", "bpc", "bpb", "bpd", "fid", "time",
    "latency", "seconds", "ece", "brier", "regret", "misclassification", "entropy",
}  # fmt: skip
_SHARES = {
    "accuracy", "acc", "accuracies", "top", "top1", "top5", "f1", "auc", "auroc", "precision", "recall", "iou", "miou", "dice", "map", "ap",
}  # fmt: skip
_LARGER = _SHARES | {
    "bleu",
    "rouge",
    "score",
    "ssim",
    "psnr",
    "r2",
    "reward",
    "return",
    "success",
    "ndcg",
    "mcc",
    "kappa",
    "correlation",
}
_FROM_ZERO = {"mse", "rmse", "mae", "wer", "cer", "brier", "latency", "seconds"}
_OWN_COLUMNS = ("sd", "se", "spread", "half", "interval", "low", "high", "runs", "p", "d")


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Positions of the columns by their meaning.

    Attributes:
        header: names of all columns.
        name: position of the rows' names; None where rows have none.
        mean: position of the means; None in a table of wins and losses.
        others: positions by meaning: "sd", "se", "spread" (a ± of unknown kind), "half" (half width of an interval), "interval", "low",
            "high", "runs", "p", "d", "wins", "ties", "losses".
        unread: names of the columns with numbers that are not read.
    """

    header: tuple[str, ...]
    name: int | None
    mean: int | None
    others: dict[str, int] = field(default_factory=dict)
    unread: tuple[str, ...] = ()

    def title(self, role: str) -> str:
        """Return the name of the column of a meaning."""
        return self.header[self.others[role]]


def words_of(title: str) -> list[str]:
    """Return the words of a column's name in lower case.

    Example:
        >>> words_of("P-value"), words_of("accMean"), words_of("95% CI"), words_of("Std. Dev.")
        (['p', 'value'], ['acc', 'mean'], ['95%', 'ci'], ['std', 'dev'])
    """
    text = re.sub(r"(?<=[a-z]{2})(?=[A-Z])", " ", clean(title).replace("\\", " "))
    text = re.sub(r"\bs\.\s?([ed])\.?", r"s\1", text.lower()).replace("\u03c3", "sigma")
    return re.findall(r"top[15]|[fr][12](?![0-9])|[^\W\d_]+|\d+(?:\.\d+)?%?|±", text)


def find_columns(table: RawTable, mean: str | None) -> Columns:
    """Return what the columns of a table are.

    Args:
        table: as text.
        mean: name of the column with the means; None to find it.

    Raises:
        TableError: no column can hold means, or several can.
    """
    filled = [[cells[i] for _, cells in table.rows if not is_missing(cells[i])] for i in range(len(table.header))]
    numeric = [bool(column) and 2 * sum(map(is_number, column)) > len(column) for column in filled]
    roles = [_role(title, column) for title, column in zip(table.header, filled, strict=True)]
    name = _name_column(table, roles, numeric)
    if {"wins", "losses"} <= set(roles) and mean is None:
        kinds = ("wins", "ties", "losses", "p")
        return Columns(
            header=table.header,
            name=name,
            mean=None,
            others={kind: roles.index(kind) for kind in kinds if kind in roles},
        )
    means = [i for i, role in enumerate(roles) if i != name and (role == "mean" or (role is None and numeric[i]))]
    chosen = _mean_column(table.header, roles, means, mean)
    others = {
        kind: _nearest(table.header, chosen, [i for i, role in enumerate(roles) if role == kind and i != chosen])
        for kind in _OWN_COLUMNS
    }
    found = {kind: i for kind, i in others.items() if i is not None}
    unread = [title for i, title in enumerate(table.header) if numeric[i] and i not in {chosen, name, *found.values()}]
    return Columns(header=table.header, name=name, mean=chosen, others=found, unread=tuple(unread))


def _role(title: str, column: Sequence[str]) -> str | None:
    words = words_of(title)
    known = set(words)
    if 2 * sum(map(has_two_numbers, column)) > len(column) and not known & _INTERVAL:
        return "mean"  # cells such as 87.48 (0.39), whatever the name of the column; but an interval may be written 87.48 ± 0.17
    for role, own in (
        ("wins", {"wins", "win", "won"}),
        ("ties", {"ties", "tie", "draws", "equal"}),
        ("losses", {"losses", "lost", "worse"}),
    ):
        if known & own:
            return role
    if (words[:1] == ["p"] or known & {"pvalue", "pval", "pvalues"}) and not known & _CORRECTED:
        return "p"
    if known & _CORRECTED and "p" in known:
        return "corrected"
    if known & {"cohen", "cohens", "hedges"} or words in (["d"], ["g"]) or {"effect", "size"} <= known:
        return "d"
    if known & (_INTERVAL | {"halfwidth", "half", "margin"}):
        ends = "low" if known & _LOW else "high" if known & _HIGH else None
        return ends or ("half" if known & {"halfwidth", "half", "margin"} else "interval")
    if len(words) == 1 and known & (_LOW | _HIGH | {"2.5%", "97.5%"}):
        return "low" if known & (_LOW | {"2.5%"}) else "high"
    if known & _SES or {"standard", "error"} <= known or ({"std", "standard"} & known and "err" in known):
        return "se"
    if known & _SDS:
        return "sd"
    if known & {"±", "spread", "uncertainty"}:
        return "spread"
    if known & _MEANS:
        return "mean"
    is_count = bool(known & _RUNS) and not known & (_SMALLER | _LARGER)
    return "runs" if is_count or words in (["n"], ["count"]) or {"sample", "size"} <= known else None


def _name_column(table: RawTable, roles: Sequence[str | None], numeric: Sequence[bool]) -> int | None:
    texts = [
        i
        for i in range(len(table.header))
        if not numeric[i] and roles[i] is None and any(cells[i] for _, cells in table.rows)
    ]
    named = [i for i in texts if set(words_of(table.header[i])) & _NAMES]
    distinct = [i for i in texts if len({cells[i] for _, cells in table.rows}) == len(table.rows)]
    both = [i for i in named if i in distinct]
    return next(iter([*both, *distinct, *named, *texts]), None)


def _mean_column(header: Sequence[str], roles: Sequence[str | None], means: list[int], asked: str | None) -> int:
    if asked is not None:
        wanted = [i for i, title in enumerate(header) if clean(title).lower() == clean(asked).lower()]
        if not wanted:
            raise TableError(
                f"There is no column {asked!r}.{did_you_mean(asked, header)} Columns are {', '.join(header)}."
            )
        return wanted[0]
    if not means:
        raise TableError(
            f"No column with means was found among {', '.join(map(repr, header))}. Name it mean, accuracy or loss, or give --mean COLUMN."
        )
    named = (
        [i for i in means if roles[i] == "mean"]
        or [i for i in means if set(words_of(header[i])) & (_SMALLER | _LARGER)]
        or means
    )
    spreads = [set(words_of(header[i])) for i, role in enumerate(roles) if role in {"sd", "se", "spread"}]
    if len(named) > 1 and len(spreads) == 1:
        subject = spreads[0] - _SDS - _SES - {"standard", "error", "of", "the", "dev"}
        named = [i for i in named if subject & set(words_of(header[i]))] or named
    if len(named) > 1:
        raise TableError(
            f"{', '.join(repr(header[i]) for i in named)} may all be the means; choose one, such as --mean {header[named[0]]!r}."
        )
    return named[0]


def _nearest(header: Sequence[str], mean: int, columns: list[int]) -> int | None:
    """Return the column that shares most words with that of the means; of several, the first to its right."""
    subject = set(words_of(header[mean])) - _MEANS
    return min(columns, key=lambda i: (-len(subject & set(words_of(header[i]))), i < mean, abs(i - mean)), default=None)


def direction_of(title: str) -> str | None:
    """Return "max" or "min", whether larger or smaller values of a metric are better; None where its name does not say.

    Example:
        >>> direction_of("Test accuracy (%)"), direction_of("top-1 error"), direction_of("result")
        ('max', 'min', None)
    """
    words = set(words_of(title))
    for direction, marks in (("max", ("↑",)), ("min", ("↓",))):
        if any(mark in title for mark in marks):
            return direction
    return "min" if words & _SMALLER else "max" if words & _LARGER else None


def level_of(title: str) -> float:
    """Return the confidence level that a column's name states, by default 0.95.

    Example:
        >>> level_of("90 % CI"), level_of("CI"), level_of("ci99")
        (0.9, 0.95, 0.99)
    """
    found = re.search(
        r"(?<!\d)(\d{2}(?:\.\d+)?)\s*%|(?<=ci)\s*(\d{2})|(\d{2})(?=\s*ci)|(0\.\d+)",
        clean(title).lower().replace("_", ""),
    )
    if found is None:
        return 0.95
    level = float(found[4]) if found[4] else float(found[1] or found[2] or found[3]) / 100
    return level if 0.5 <= level < 1 else 0.95


def runs_in(*titles: str) -> int | None:
    """Return the number of runs that the names of columns state.

    Example:
        >>> runs_in("mean", "SD over 5 seeds"), runs_in("accuracy")
        (5, None)
    """
    found = [
        re.search(rf"(\d+)\s*(?:{'|'.join(sorted(_RUNS, key=len, reverse=True))})\b", title.lower()) for title in titles
    ]
    return next((int(match[1]) for match in found if match), None)


#: Ranges of metrics by their names; a share is from 0 to 1, or to 100 in per cent.
PERCENT: Final = 100.0


def possible_range(title: str, values: Sequence[float], percent: bool) -> tuple[float, float]:
    """Return the smallest and largest possible value of a metric, from its name and the size of most of its values.

    Example:
        >>> possible_range("accuracy", [87.5, 86.1], False), possible_range("accuracy", [0.87], False), possible_range("loss", [1.9], False)
        ((0.0, 100.0), (0.0, 1.0), (-inf, inf))
    """
    words = set(words_of(title))
    if words & _SHARES and not words & _SMALLER:
        middle = sorted(values)[len(values) // 2] if values else 0.0
        return (0.0, PERCENT if percent or "%" in title or middle > 1.5 else 1.0)
    return (0.0 if words & _FROM_ZERO else float("-inf"), float("inf"))
