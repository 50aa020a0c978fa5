"""Node classification on the dependency graph of Debian packages, with a graph convolutional net.

Source: index of the archive of Debian 12 (bookworm), main, amd64 (``apt-cache dumpavail``); names of sections, dependencies between
packages and words of their one-line descriptions, which are facts of software that is free by Debian's guidelines. The citation graphs
of the literature (Cora, Citeseer) come with no licence that lets them be shipped. 5,455 source packages; 4,157 are of eight sections
(electronics, games, graphics, mail, net, science, sound, video), the others are what several of these need, without a label; 21,338
edges; 400 words. Of the edges between labelled packages 80 % join equal sections.

As in the settings of Planetoid (arXiv:1603.08861), 20 packages of each section train, 400 validate and 1,000 test, drawn by the seed.
Reference scores: the largest section has 27 % of the packages, the MLP does not see the graph (``sections:mlp``), and label propagation
(``propagation_accuracy``, 61 %) does not see the words.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from actlab.tasks.builtin.extracts import extract
from actlab.tasks.data import Data, Split
from actlab.tasks.task import Parameters, Task, accuracy

__all__ = ["GraphNet", "gcn_task", "mlp_task", "propagation_accuracy"]

CLASSES = 8
_WORDS = 400
_PER_CLASS, _VALIDATION, _TEST = 20, 400, 1000


@lru_cache(maxsize=1)
def _graph() -> tuple[Tensor, Tensor, Tensor]:
    """Return both directions of all edges and loops, int64 (2, m), their weights, (m,), and words, (n, 400), rows of sum 1."""
    found = extract("sections")
    words = torch.from_numpy(np.unpackbits(found["words"], axis=1)[:, :_WORDS].astype(np.float32))
    edges = torch.from_numpy(found["edges"].astype(np.int64)).T
    ends = torch.cat((edges, edges.flip(0), torch.arange(len(words)).expand(2, -1)), 1)
    root = ends[0].bincount().float().rsqrt()
    return ends, root[ends[0]] * root[ends[1]], words / words.sum(1, keepdim=True).clamp(min=1)


def _labels() -> Tensor:
    return torch.from_numpy(extract("sections")["label"].astype(np.int64))


def _parts(seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = _labels()
    order = torch.randperm(len(labels), generator=generator)
    order = order[labels[order] >= 0]
    train = torch.cat([order[labels[order] == label][:_PER_CLASS] for label in range(CLASSES)])
    rest = order[~torch.isin(order, train)]
    return {"train": train, "validation": rest[:_VALIDATION], "test": rest[_VALIDATION : _VALIDATION + _TEST]}


def _data(seed: int) -> Data:
    """Draw the splits for a seed; an input is the number of a node, int64."""
    labels = _labels()
    return Data(**{name: Split(x=nodes, y=labels[nodes]) for name, nodes in _parts(seed).items()})


class GraphNet(nn.Module):
    """Graph convolutional net of two layers (arXiv:1609.02907), or an MLP with as many parameters.

    Args:
        hidden: width of the hidden layer.
        uses_edges: whether a layer takes the weighted mean over the neighbours of a node.

    Example:
        >>> GraphNet()(torch.tensor([0, 5, 7])).shape
        torch.Size([3, 8])
    """

    words: Tensor
    ends: Tensor
    weights: Tensor

    def __init__(self, hidden: int = 32, *, uses_edges: bool = True) -> None:
        super().__init__()
        ends, weights, words = _graph()
        for name, value in {"ends": ends, "weights": weights, "words": words}.items():
            self.register_buffer(name, value, persistent=False)
        self.uses_edges = uses_edges
        self.first, self.second = nn.Linear(_WORDS, hidden), nn.Linear(hidden, CLASSES)
        self.activation = nn.ReLU()
        self.drop = nn.Dropout(0.5)

    def forward(self, nodes: Tensor) -> Tensor:
        """Map numbers of nodes, shape (n,), to logits, shape (n, 8); all nodes are computed."""
        hidden = self.activation(self._mixed(self.first(self.drop(self.words))))
        return self._mixed(self.second(self.drop(hidden)))[nodes]

    def _mixed(self, x: Tensor) -> Tensor:
        if not self.uses_edges:
            return x
        target, source = self.ends
        return torch.zeros_like(x).index_add(0, target, self.weights[:, None] * x[source])


def propagation_accuracy(seed: int, rounds: int = 30) -> float:
    """Return the accuracy of label propagation on the test split of a seed, which sees edges and training labels alone.

    Example:
        >>> propagation_accuracy(0) > 0.4
        True
    """
    parts, labels = _parts(seed), _labels()
    (target, source), weights, _ = _graph()
    known = functional.one_hot(labels[parts["train"]], CLASSES).float()
    scores = torch.zeros(len(labels), CLASSES)
    for _ in range(rounds):
        scores[parts["train"]] = known
        scores = torch.zeros_like(scores).index_add(0, target, weights[:, None] * scores[source])
    return accuracy(scores[parts["test"]], labels[parts["test"]])


def _adamw(parameters: Parameters, lr: float) -> torch.optim.Optimizer:
    return torch.optim.AdamW(parameters, lr=lr, weight_decay=0.05)


def gcn_task() -> Task:
    """Return the task with a graph convolutional net.

    Example:
        >>> gcn_task().data(0).train.x.shape
        torch.Size([160])
    """
    return Task(
        name="sections",
        model=lambda seed: GraphNet(),  # noqa: ARG005 # the generator is seeded before the call
        data=_data,
        loss=functional.cross_entropy,
        metric=accuracy,
        optimizer=_adamw,
        learning_rate=1e-2,
        batch_size=_TEST,
        epochs=200,
        rope=0.005,
        output_kind="logits",
        description="Sections of Debian packages (facts), their dependency graph, graph convolutional net; label propagation: 0.61",
        source="sections, protocol 1",
    )


def mlp_task() -> Task:
    """Return the task with an MLP of the words, which does not see the graph.

    Example:
        >>> mlp_task().name
        'sections:mlp'
    """
    return replace(
        gcn_task(),
        name="sections:mlp",
        model=lambda seed: GraphNet(uses_edges=False),  # noqa: ARG005 # the generator is seeded before the call
        description="Sections of Debian packages (facts) by words, MLP without the graph; logistic regression: 0.45",
    )
