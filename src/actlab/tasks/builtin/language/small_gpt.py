"""Small character-level GPTs on tiny Shakespeare, with layer norms or functions in their place.

The text and its parts are those of :mod:`actlab.tasks.builtin.language.gpt`; a training takes seconds and sees a fifth of the text. All
linear layers have the initial weights of ``nn.Linear``, those that a gated function gets in the place of a scalar one too, so that gated
and scalar arms start alike.

Reference scores in nats per character: interpolated counts (Witten & Bell) of the windows that seed 0 draws have 2.49 with pairs of
characters, 2.09 with three and 1.86 with five (``benchmarks/text_and_image_references.py``).

Source of the norm-free form: Zhu et al., "Transformers without normalization", arXiv:2503.10622, whose language models multiply the
embedding by a learned number, at first the root of the width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from actlab.nn.layers.layer import layer
from actlab.tasks.builtin.language import gpt
from actlab.tasks.builtin.language.tiny_shakespeare import characters
from actlab.tasks.data import Data
from actlab.tasks.task import Task

__all__ = ["SmallGpt", "norm_free_sgd_task", "norm_free_task", "sgd_task", "task"]

_BLOCK = 32  # characters that the model sees
_BATCH = 8
_STEPS = 800
_LAYERS, _HEADS, _WIDTH = 2, 4, 64
_EVALUATED = 3  # every third window of the test part, which is evaluated in half a second


class _ScaledFunction(nn.Module):
    """Function of one value with a learned factor and offset for each channel, as in the place of a norm."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.function = layer("dynamic_tanh(weight=1, bias=0)")
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x) * self.weight + self.bias  # type: ignore[no-any-return]


class _Block(nn.Module):
    def __init__(self, width: int, heads: int, norm: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.attention_norm = norm(width)
        self.attention = gpt.CausalAttention(width, heads)
        self.mlp_norm = norm(width)
        self.inner = nn.Linear(width, 4 * width, bias=False)
        self.activation = nn.GELU()
        self.outer = nn.Linear(4 * width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.attention_norm(x))
        return x + self.outer(self.activation(self.inner(self.mlp_norm(x))))  # type: ignore[no-any-return]


class SmallGpt(nn.Module):
    """GPT whose norms can be functions of one value, with output weights of its own.

    Args:
        vocabulary: number of different characters.
        is_normalised: whether its five norms are layer norms; otherwise each is dynamic tanh, at the sites ``*norm.function``.

    Example:
        >>> net = SmallGpt(vocabulary=65, is_normalised=True)
        >>> net(torch.zeros(2, 32, dtype=torch.int64)).shape, sum(p.numel() for p in net.parameters())
        (torch.Size([2, 65, 32]), 109312)
    """

    def __init__(self, *, vocabulary: int, is_normalised: bool) -> None:
        super().__init__()
        norm = nn.LayerNorm if is_normalised else _ScaledFunction
        self.embedding = nn.Embedding(vocabulary, _WIDTH)
        self.positions = nn.Parameter(torch.empty(_BLOCK, _WIDTH))
        for weight in (self.embedding.weight, self.positions):
            nn.init.normal_(weight, std=0.1)  # 0.02 and tied output weights end at 2.34 instead of 2.08 nats
        self.scale = None if is_normalised else nn.Parameter(torch.tensor([_WIDTH**0.5]))
        self.blocks = nn.Sequential(*(_Block(_WIDTH, _HEADS, norm) for _ in range(_LAYERS)))
        self.final_norm = norm(_WIDTH)
        self.head = nn.Linear(_WIDTH, vocabulary, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits of the next characters, shape (n, vocabulary, length), from numbers of characters, shape (n, length)."""
        hidden = self.embedding(x) + self.positions[: x.shape[1]]
        if self.scale is not None:
            hidden = hidden * self.scale
        return self.head(self.final_norm(self.blocks(hidden))).transpose(1, 2)  # type: ignore[no-any-return]


def _model(seed: int, *, is_normalised: bool) -> nn.Module:  # noqa: ARG001 # the generator is seeded before the call
    return SmallGpt(vocabulary=len(characters()[1]), is_normalised=is_normalised)


def _data(seed: int) -> Data:
    """Draw 6,400 windows for training; validation and test are cut into windows without overlap, and a third of those of the test kept."""
    train, validation, test = gpt.text_parts()
    drawn = torch.randint(len(train) - _BLOCK, (_STEPS * _BATCH,), generator=torch.Generator().manual_seed(seed))
    return Data(
        train=gpt.windows(train, drawn, _BLOCK),
        validation=gpt.windows(validation, torch.arange(0, len(validation) - _BLOCK, _BLOCK), _BLOCK),
        test=gpt.windows(test, torch.arange(0, len(test) - _BLOCK, _EVALUATED * _BLOCK), _BLOCK),
    )


def _sgd(model: nn.Module, lr: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)


def task() -> Task:
    """Return the language model with layer norms: 2 layers of 64 channels and 4 heads, 32 characters, 800 steps of 8 windows, AdamW.

    Example:
        >>> data = task().data(0)
        >>> data.train.x.shape, len(data.validation), len(data.test)
        (torch.Size([6400, 32]), 627, 1162)
    """
    return replace(
        gpt.task(),
        name="shakespeare:small",
        model=partial(_model, is_normalised=True),
        data=_data,
        clip_norm=None,
        learning_rate=5e-3,
        batch_size=_BATCH,
        description="Tiny Shakespeare (public domain), small character GPT; counts of three characters: 2.09",
        source="shakespeare:small, protocol 1",
    )


def norm_free_task() -> Task:
    """Return the language model with a function in the place of every layer norm.

    Example:
        >>> import actlab
        >>> [site.path for site in actlab.find(norm_free_task().model(0)) if "norm" in site.path][-1]
        'final_norm.function'
    """
    return replace(
        task(),
        name="shakespeare:norm-free",
        model=partial(_model, is_normalised=False),
        description="Tiny Shakespeare (public domain), small character GPT without norms; counts of three characters: 2.09",
        source="shakespeare:norm-free, protocol 1",
    )


def sgd_task() -> Task:
    """Return the language model with layer norms, trained by SGD with momentum 0.9 and no weight decay.

    Example:
        >>> type(sgd_task().optimizer(sgd_task().model(0), 0.1)).__name__
        'SGD'
    """
    return replace(
        task(),
        name="shakespeare:small-sgd",
        optimizer=_sgd,  # type: ignore[arg-type] # called with the model, by the name of its first parameter
        learning_rate=0.1,
        description="Tiny Shakespeare (public domain), small character GPT, SGD; counts of three characters: 2.09",
        source="shakespeare:small-sgd, protocol 1",
    )


def norm_free_sgd_task() -> Task:
    """Return the language model with a function in the place of every layer norm, trained by SGD with momentum 0.9.

    Example:
        >>> norm_free_sgd_task().name
        'shakespeare:norm-free-sgd'
    """
    return replace(
        sgd_task(),
        name="shakespeare:norm-free-sgd",
        model=partial(_model, is_normalised=False),
        description="Tiny Shakespeare (public domain), small character GPT without norms, SGD; counts of three characters: 2.09",
        source="shakespeare:norm-free-sgd, protocol 1",
    )
