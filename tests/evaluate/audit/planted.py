"""Data with planted faults, shared by the tests of the audit."""

import numpy as np
import torch
from sklearn.datasets import load_breast_cancer, load_digits


def table(seed=0):
    """Return the rows and classes of scikit-learn's breast cancer table in a random order."""
    found = load_breast_cancer()
    order = np.random.default_rng(seed).permutation(len(found.data))
    return found.data[order], found.target[order].astype(np.int64)


def images(seed=0):
    """Return scikit-learn's digits as images, shape (1797, 8, 8), and their classes in a random order."""
    found = load_digits()
    order = np.random.default_rng(seed).permutation(len(found.images))
    return found.images[order], found.target[order].astype(np.int64)


def split(x, y, test=0.3):
    """Return data of two splits."""
    n = round(len(x) * test)
    return {
        "train": (torch.as_tensor(x[n:]), torch.as_tensor(y[n:])),
        "test": (torch.as_tensor(x[:n]), torch.as_tensor(y[:n])),
    }


def kinds(found):
    """Return kind and splits of the findings of an audit."""
    return [(finding.kind, finding.splits) for finding in found.findings]


def of_kind(found, kind, *splits):
    """Return the reports of a kind and, where given, of splits."""
    return [report for report in found.reports if report.kind == kind and (not splits or report.splits == splits)]
