"""Reference scores of the tasks of the domains, of naive guesses and of the usual simple methods, on the same splits.

python benchmarks/domain_references.py             # a Markdown table, means over --seeds seeds
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable

import numpy as np
import torch
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier

from actlab.tasks import resolve
from actlab.tasks.builtin.graphs.sections import propagation_accuracy
from actlab.tasks.builtin.physics.image import neighbour_psnr, psnr
from actlab.tasks.builtin.recommendation.held_out_item import neighbour_ndcg, popularity_ndcg
from actlab.tasks.builtin.series.oil import error_to_naive, har_error
from actlab.tasks.data import Split, tensors_of
from actlab.tasks.metrics.ranking import average_precision, found_in_first
from actlab.tasks.task import accuracy, load_data


def _parts(task: str, seed: int) -> tuple[Split, Split]:
    data = load_data(resolve(task), seed)
    return tensors_of(data.train, task), tensors_of(data.test, task)


def _insurance(model: Callable[[], object], metric: Callable[..., float], seed: int) -> float:
    train, test = _parts("insurance", seed)
    fitted = model().fit(train.x.numpy(), train.y.numpy())
    return metric(torch.from_numpy(fitted.predict_proba(test.x.numpy())[:, 1]), test.y)


def _logistic() -> object:
    return LogisticRegression(C=0.01, max_iter=1000)


def _boosting() -> object:
    return HistGradientBoostingClassifier(max_iter=60, learning_rate=0.05, max_leaf_nodes=8, random_state=0)


def _co2_ridge(seed: int) -> float:
    train, test = _parts("co2", seed)
    fitted = Ridge(alpha=1.0).fit(train.x.numpy(), train.y[..., 0].numpy())
    return error_to_naive(torch.from_numpy(fitted.predict(test.x.numpy())), test.y)


def _vowels_neighbour(seed: int) -> float:
    """Return the accuracy of the nearest utterance by the means of the coefficients over its moments."""
    train, test = _parts("japanese-vowels", seed)
    means = [(split.x[:, :12].sum(2) / split.x[:, 12:].sum(2)).numpy() for split in (train, test)]
    fitted = KNeighborsClassifier(1).fit(means[0], train.y.numpy())
    return float(fitted.score(means[1], test.y.numpy()))


def _majority(task: str, seed: int) -> float:
    test = _parts(task, seed)[1]
    return float(test.y.bincount().max()) / len(test.y)


def _sections_logistic(seed: int) -> float:
    from actlab.tasks.builtin.graphs.sections import GraphNet  # noqa: PLC0415

    words = GraphNet().words.numpy()
    train, test = _parts("sections", seed)
    fitted = LogisticRegression(C=100.0, max_iter=1000).fit(words[train.x.numpy()], train.y.numpy())
    return accuracy(torch.from_numpy(fitted.predict_proba(words[test.x.numpy()])), test.y)


def _image_mean(seed: int) -> float:
    train, test = _parts("image:siren", seed)
    return psnr(train.y.mean().expand_as(test.y), test.y)


def _random_actions(seed: int) -> float:
    from actlab.tasks.builtin.control.cart_pole import CartPoles  # noqa: PLC0415

    generator = torch.Generator().manual_seed(seed)
    carts, lengths = CartPoles(64, generator), list[int]()
    for _ in range(400):
        ended, count = carts.push((torch.rand(64, generator=generator) < 0.5) * 2.0 - 1)
        lengths += count[ended].tolist()
    return statistics.fmean(lengths)


REFERENCES: dict[tuple[str, str], Callable[[int], float]] = {
    ("insurance, average precision", "at random"): lambda seed: average_precision(
        torch.rand(1500, generator=torch.Generator().manual_seed(seed)), _parts("insurance", seed)[1].y
    ),
    ("insurance, average precision", "logistic regression"): lambda seed: _insurance(
        _logistic, average_precision, seed
    ),
    ("insurance, average precision", "boosted trees"): lambda seed: _insurance(_boosting, average_precision, seed),
    ("insurance, found in first fifth", "logistic regression"): lambda seed: _insurance(
        _logistic, found_in_first, seed
    ),
    ("insurance, found in first fifth", "boosted trees"): lambda seed: _insurance(_boosting, found_in_first, seed),
    ("oil, error to naive", "linear regression on volatilities (HAR)"): har_error,
    ("co2, error to naive", "ridge regression"): _co2_ridge,
    ("japanese-vowels, accuracy", "largest class"): lambda seed: _majority("japanese-vowels", seed),
    ("japanese-vowels, accuracy", "nearest neighbour of the means"): _vowels_neighbour,
    ("sections, accuracy", "largest class"): lambda seed: _majority("sections", seed),
    ("sections, accuracy", "logistic regression on words"): _sections_logistic,
    ("sections, accuracy", "label propagation"): propagation_accuracy,
    ("dependencies, NDCG at 10", "popularity"): lambda seed: popularity_ndcg(load_data(resolve("dependencies"), seed)),
    ("dependencies, NDCG at 10", "item neighbours"): lambda seed: neighbour_ndcg(
        load_data(resolve("dependencies"), seed)
    ),
    ("image, PSNR", "mean of the training pixels"): _image_mean,
    ("image, PSNR", "mean of the known neighbours"): neighbour_psnr,
    ("cart-pole, episode length", "random actions"): _random_actions,
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=8)
    seeds = parser.parse_args().seeds
    print("| task and metric | reference | mean | standard deviation |\n|---|---|---|---|")
    for (task, method), score in REFERENCES.items():
        found = [score(seed) for seed in range(seeds)]
        print(f"| {task} | {method} | {np.mean(found):.4g} | {np.std(found, ddof=1):.2g} |", flush=True)


if __name__ == "__main__":
    main()
