"""Naive reference scores of the tasks on text and images, and nanoGPT's own code on the data of ``shakespeare``.

    python benchmarks/text_and_image_references.py plays        # most frequent class, naive Bayes, logistic regression on tf-idf; macro F1
    python benchmarks/text_and_image_references.py images       # logistic regression on pixels of tiny:resnet-8 and tiny:ds-cnn
    python benchmarks/text_and_image_references.py linear       # principal component analysis for the autoencoder and tiny:anomaly
    python benchmarks/text_and_image_references.py counts       # counts of 2 to 5 characters for shakespeare:small
    python benchmarks/text_and_image_references.py nanogpt --model nanoGPT/model.py [--seed 0]
    python benchmarks/text_and_image_references.py checkpoint --model nanoGPT/model.py --checkpoint out-shakespeare-char/ckpt.pt

All but the last two are trained on the training split of seeds 0 to 2 and evaluated on the test split, which the tasks use too. ``nanogpt``
trains with nanoGPT's ``model.py`` and ``configure_optimizers`` on the windows of the task; ``checkpoint`` evaluates what nanoGPT's
``train.py`` has saved, on the whole last tenth of the text and by its own estimate of 240 windows.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import sys
import time
import warnings
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline
from torch import Tensor
from torch.nn import functional

from actlab.tasks import resolve
from actlab.tasks.builtin.language.plays import WORDS, passage_splits, task, windows
from actlab.tasks.metrics.classification import auroc, macro_f1
from actlab.tasks.task import accuracy, load_data

SEEDS = range(3)
BUCKETS = 16_384


def counts(examples: Tensor) -> np.ndarray:
    """Return how often each word is in each window, shape (n, 16384)."""
    return torch.zeros(len(examples), BUCKETS).scatter_add_(1, examples, torch.ones(examples.shape)).numpy()


def plays() -> None:
    """Print the macro F1 of linear classifiers of words."""
    models = {
        "most frequent play": DummyClassifier(),
        "naive Bayes": MultinomialNB(),
        "logistic regression on tf-idf": make_pipeline(TfidfTransformer(), LogisticRegression(C=10, max_iter=300)),
    }
    for seed in SEEDS:
        train, test = windows(passage_splits(seed)["train"], WORDS), load_data(task(), seed).test
        for name, model in models.items():
            model.fit(counts(train.x), train.y)
            output = torch.from_numpy(model.predict_proba(counts(test.x)))
            print(
                f"seed {seed}: {name:30} macro F1 {macro_f1(output, test.y):.3f}, accuracy {accuracy(output, test.y):.3f}"
            )


def images() -> None:
    """Print the accuracy of logistic regression on pixels after 100 iterations."""
    warnings.simplefilter("ignore", ConvergenceWarning)
    for name in ("tiny:resnet-8", "tiny:ds-cnn"):
        for seed in SEEDS:
            data = load_data(resolve(name), seed)
            x, x_test = (part.x[:, 0].flatten(1).numpy() for part in (data.train, data.test))
            model = LogisticRegression(C=0.1, max_iter=100).fit(x, data.train.y)
            print(f"seed {seed}: {name:14} logistic regression {model.score(x_test, data.test.y):.4f}")


def rebuilt(train: Tensor, test: Tensor, components: int) -> Tensor:
    """Return the test examples as the best linear map through so many numbers gives them back."""
    mean = train.mean(0)
    _, vectors = torch.linalg.eigh((train - mean).T @ (train - mean))
    chosen = vectors[:, -components:]
    return (test - mean) @ chosen @ chosen.T + mean


def linear() -> None:
    """Print what principal component analysis reaches with as many numbers as the codes have."""
    for seed in SEEDS:
        data = load_data(resolve("fashion-mnist:autoencoder"), seed)
        error = functional.mse_loss(rebuilt(data.train.x, data.test.x, 30), data.test.x)
        print(f"seed {seed}: fashion-mnist:autoencoder, 30 components: MSE {error:.5f}, PSNR {-10 * error.log10():.2f}")
        data = load_data(resolve("tiny:anomaly"), seed)
        errors = (rebuilt(data.train.x, data.test.x, 8) - data.test.x).square().mean(1)
        print(f"seed {seed}: tiny:anomaly, 8 components: AUROC {auroc(errors, data.test.y):.4f}")


def character_counts() -> None:
    """Print nats per character of interpolated counts (Witten & Bell, 1991) on the windows of ``shakespeare:small``."""
    for seed in range(3):
        data = load_data(resolve("shakespeare:small"), seed)
        train, test = (torch.cat((part.x, part.y[:, -1:]), 1).tolist() for part in (data.train, data.test))
        found = [f"{order} characters {count_loss(train, test, order):.3f}" for order in (2, 3, 4, 5)]
        print(f"seed {seed}: {', '.join(found)}")


def count_loss(train: list[list[int]], test: list[list[int]], order: int) -> float:
    """Return the mean loss of the characters of windows, given at most ``order - 1`` characters before them in the window."""
    follows: dict[tuple[int, ...], Counter[int]] = {}
    for row in train:
        for place in range(1, len(row)):
            for length in range(min(order - 1, place) + 1):
                follows.setdefault(tuple(row[place - length : place]), Counter())[row[place]] += 1
    totals = {context: found.total() for context, found in follows.items()}
    losses = []
    for row in test:
        for place in range(1, len(row)):
            share = 1 / 65
            for length in range(min(order - 1, place) + 1):
                context = tuple(row[place - length : place])
                if context not in totals:
                    break
                kinds = len(follows[context])
                share = (follows[context][row[place]] + kinds * share) / (totals[context] + kinds)
            losses.append(-math.log(share))
    return sum(losses) / len(losses)


def nano_module(path: Path) -> ModuleType:
    """Return nanoGPT's model.py."""
    spec = importlib.util.spec_from_file_location("nanogpt_model", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["nanogpt_model"] = module
    spec.loader.exec_module(module)
    return module


@torch.no_grad()
def mean_loss(model: Any, x: Tensor, y: Tensor) -> float:
    """Return the mean loss of a model of nanoGPT, in nats per character."""
    model.eval()
    parts = zip(x.split(64), y.split(64), strict=True)
    return sum(model(a, b)[1].item() * len(a) for a, b in parts) / len(x)


def nanogpt(path: Path, seed: int) -> None:
    """Train nanoGPT's own model on the windows of the task, and print its loss on the last tenth of the text."""
    module, data = nano_module(path), load_data(resolve("shakespeare"), seed)
    torch.manual_seed(seed)
    shape = {
        "block_size": 64,
        "vocab_size": 65,
        "n_layer": 4,
        "n_head": 4,
        "n_embd": 128,
        "dropout": 0.0,
        "bias": False,
    }
    model = module.GPT(module.GPTConfig(**shape))
    optimizer = model.configure_optimizers(0.1, 1e-3, (0.9, 0.99), "cpu")
    for step, (x, y) in enumerate(zip(data.train.x.split(12), data.train.y.split(12), strict=True)):
        for group in optimizer.param_groups:
            group["lr"] = nano_rate(step)
        model.train()
        model(x, y)[1].backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    print(
        f"seed {seed}: {mean_loss(model, data.test.x, data.test.y):.4f} nats per character, {time.process_time():.0f} s of CPU"
    )


def nano_rate(step: int) -> float:
    """Return ``get_lr`` of nanoGPT's train.py at the settings of the recipe."""
    if step < 100:
        return 1e-3 * (step + 1) / 101
    return 1e-4 + 0.5 * (1.0 + math.cos(math.pi * (step - 100) / 1900)) * 9e-4


def checkpoint(path: Path, saved: Path) -> None:
    """Print the loss of a checkpoint of nanoGPT's train.py on the last tenth of the text, and the spread of its own estimate."""
    module = nano_module(path)
    state = torch.load(saved, map_location="cpu", weights_only=False)
    model = module.GPT(module.GPTConfig(**state["model_args"]))
    model.load_state_dict(state["model"])
    test = load_data(resolve("shakespeare"), 0).test
    print(f"iteration {state['iter_num']}, its estimate then: {float(state['best_val_loss']):.4f}")
    print(f"on all {len(test)} windows: {mean_loss(model, test.x, test.y):.4f}")
    with torch.no_grad():
        losses = torch.cat(
            [
                functional.cross_entropy(model(a, b)[0].transpose(1, 2), b, reduction="none").mean(1)
                for a, b in zip(test.x.split(64), test.y.split(64), strict=True)
            ]
        )
    print(f"standard deviation of an estimate from 240 windows: {losses.std() / 240**0.5:.4f}")


def main() -> None:
    """Print one of the references."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("plays", "images", "linear", "counts", "nanogpt", "checkpoint"))
    parser.add_argument("--model", type=Path, default=Path("nanoGPT/model.py"))
    parser.add_argument("--checkpoint", type=Path, default=Path("nanoGPT/out-shakespeare-char/ckpt.pt"))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.part == "nanogpt":
        nanogpt(options.model, options.seed)
    elif options.part == "checkpoint":
        checkpoint(options.model, options.checkpoint)
    else:
        {"plays": plays, "images": images, "linear": linear, "counts": character_counts}[options.part]()


if __name__ == "__main__":
    main()
