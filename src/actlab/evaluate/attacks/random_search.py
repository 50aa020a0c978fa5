"""Attack without gradients, by random changes of windows of the input that lower the margin.

A short form of the Square Attack (arXiv:1912.00049): what a model answers is all it asks for, so that no gradient can be hidden from it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from actlab.evaluate.attacks.attacked_model import AttackedModel
from actlab.evaluate.attacks.ball import Ball
from actlab.evaluate.attacks.gradient_attack import Attacked

__all__ = ["random_search"]


def random_search(
    attacked: AttackedModel, ball: Ball, labels: Tensor, *, queries: int, is_image: bool, generator: torch.Generator
) -> Attacked:
    """Attack by random search: windows that shrink are set to plus or minus the radius, and kept where the margin falls.

    Args:
        attacked: the model.
        ball: around the clean inputs, shape (n, ...).
        labels: true classes, int64, shape (n,).
        queries: forward passes for each example.
        is_image: whether the last two dimensions are rows and columns; windows are squares there, and else runs of entries.
        generator: draws all changes, on the CPU.

    Example:
        >>> x = torch.zeros(3, 2)
        >>> ball = Ball.around(x, scale=torch.ones(1, 2), radius=1.0, norm="linf", low=-1.0, high=1.0)
        >>> model = AttackedModel(torch.nn.Linear(2, 2).eval(), "logits")
        >>> made = torch.Generator().manual_seed(0)
        >>> found = random_search(model, ball, torch.zeros(3, dtype=torch.int64), queries=9, is_image=False, generator=made)
        >>> found.inputs.shape
        torch.Size([3, 2])
    """
    best = ball.centre.clone()
    lowest = attacked.margins(best, labels)
    moved = _signs(ball.centre, whole_columns=is_image, generator=generator)
    rows = torch.arange(len(best))[lowest > 0]
    for query in range(queries):
        if not len(rows):
            break
        part = ball.take(rows)
        if query:
            share = 0.5 * (1 - query / queries) ** 2
            window = _window(part.centre, share, is_image=is_image, generator=generator)
            # in L2 a window takes half of the length that all entries share, so that the search can gather it in a few places
            size = 1.0 if ball.norm == "linf" else max(share, 1e-3) ** -0.5
            signs = size * _window_signs(part.centre, window, is_image, generator)
            tried = torch.where(window, signs, moved[rows])
        else:
            tried = moved[rows]
        x = _at_the_edge(part, tried)
        found = attacked.margins(x, labels[rows])
        better = (found <= lowest[rows]) | (query == 0)
        moved[rows[better]] = tried[better]
        lower = found < lowest[rows]
        best[rows[lower]] = x[lower]
        lowest[rows] = torch.minimum(lowest[rows], found)
        rows = rows[found > 0]
    return Attacked(best, lowest)


def _at_the_edge(ball: Ball, moved: Tensor) -> Tensor:
    """Return the inputs at the edge of the ball in given directions, inside the range."""
    if ball.norm == "l2":
        length = moved.flatten(1).norm(dim=1).clamp_min(1e-30)
        moved = moved / length.view(-1, *[1] * (moved.ndim - 1))
    return ball.project(ball.centre + ball.radius * ball.scale * moved)


def _signs(like: Tensor, *, whole_columns: bool, generator: torch.Generator) -> Tensor:
    """Return random signs: one for each column of an image, as in the paper, or for each entry."""
    shape = [*like.shape[:-2], 1, like.shape[-1]] if whole_columns else list(like.shape)
    return _random_signs(shape, generator).to(like).expand_as(like).clone()


def _random_signs(shape: list[int], generator: torch.Generator) -> Tensor:
    return torch.randint(0, 2, shape, generator=generator) * 2 - 1


def _window(like: Tensor, share: float, *, is_image: bool, generator: torch.Generator) -> Tensor:
    """Return a window of each example that covers a share of it, bool, shape (n, ...)."""
    n = len(like)
    if not is_image:
        size = like[0].numel()
        width = max(1, round(share * size))
        start = torch.randint(0, size, (n, 1), generator=generator)
        run: Tensor = ((torch.arange(size) - start) % size) < width
        return run.view(like.shape).to(like.device)
    height, width = like.shape[-2:]
    side = max(1, round((share * height * width) ** 0.5))
    inside = []
    for size in (height, width):
        start = torch.randint(0, max(1, size - side + 1), (n, 1), generator=generator)
        place = torch.arange(size) - start
        inside.append((place >= 0) & (place < side))
    square = inside[0][:, :, None] & inside[1][:, None, :]
    found: Tensor = square.view(n, *[1] * (like.ndim - 3), height, width)
    return found.expand(like.shape).to(like.device)


def _window_signs(like: Tensor, window: Tensor, is_image: bool, generator: torch.Generator) -> Tensor:
    """Return the signs that a window is set to: one for each channel of an image, else one for each entry."""
    shape = [*like.shape[:-2], 1, 1] if is_image else list(like.shape)
    return _random_signs(shape, generator).to(like).expand_as(window)
