"""The graph net is that of the formula with a matrix, and packages without a label are in no split."""

import numpy as np
import pytest
import torch
from scipy import sparse

from actlab.tasks import resolve
from actlab.tasks.builtin.extracts import extract
from actlab.tasks.builtin.graphs.sections import GraphNet, propagation_accuracy
from actlab.tasks.task import load_data


@pytest.mark.parametrize("uses_edges", [True, False], ids=["graph", "words"])
def test_the_net_is_the_formula_with_a_sparse_matrix(uses_edges):
    torch.manual_seed(0)
    net = GraphNet(uses_edges=uses_edges).double().eval()
    n = len(net.words)
    one, other = extract("sections")["edges"].astype(np.int64).T
    matrix = sparse.eye_array(n, format="csr")
    if uses_edges:
        matrix = matrix + sparse.coo_array(
            (np.ones(2 * len(one)), (np.r_[one, other], np.r_[other, one])), shape=(n, n)
        )
        root = sparse.diags_array(np.asarray(matrix.sum(1)).ravel() ** -0.5)
        matrix = root @ matrix @ root

    with torch.no_grad():
        hidden = torch.relu(torch.from_numpy(matrix @ net.first(net.words).numpy()))
        expected = torch.from_numpy(matrix @ net.second(hidden).numpy())

        assert torch.allclose(net(torch.arange(n)), expected, atol=1e-6)


def test_the_training_split_has_20_packages_of_each_section_and_no_split_has_one_without_a_label():
    data = load_data(resolve("sections"), 5)

    assert data.train.y.bincount().tolist() == [20] * 8
    assert all(int(split.y.min()) >= 0 for split in data.splits.values())


def test_edges_are_listed_once_without_loops_and_the_graph_is_connected():
    edges = torch.from_numpy(extract("sections")["edges"].astype("int64"))
    count = len(extract("sections")["label"])
    component = torch.arange(count)
    for _ in range(30):  # the smallest number spreads along the edges
        for one, other in ((0, 1), (1, 0)):
            component = component.scatter_reduce(0, edges[:, one], component[edges[:, other]], "amin")

    assert (edges[:, 0] < edges[:, 1]).all()
    assert len(edges.unique(dim=0)) == len(edges) == 21338
    assert component.max() == 0


def test_label_propagation_is_far_better_than_the_largest_section():
    largest = max((extract("sections")["label"] == label).sum() for label in range(8)) / 4157

    assert largest == pytest.approx(0.27, abs=0.01)
    assert sum(propagation_accuracy(seed) for seed in range(3)) / 3 == pytest.approx(0.63, abs=0.03)
