"""MNIST-1D data generator and the published activation experiment on it.

Source: Greydanus & Kobak, "Scaling down deep learning with MNIST-1D", ICML 2024, arXiv:2011.14439, with the generator's default
arguments and the settings of the notebook ``metalearn-activation-function``. Random numbers are drawn one by one in the published
order, so the data are the published ones, bit for bit on x86. The arithmetic is vectorised over examples: 0.5 s instead of 4.7 s for
10,000 examples.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from actlab.tasks.data import Data, Split
from actlab.tasks.task import Task, accuracy

__all__ = ["NoisyMLP", "PublishedRMSprop", "Recipe", "accuracy_task", "generate", "training_loss_task"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Arguments of the generator; the defaults are the published ones, with the notebook's 10,000 examples.

    Attributes:
        examples: number of examples, a tenth of them per class.
        train_share: share of the examples, from the first on, that is the training split.
        padding: smallest and largest number of zeros appended to a template.
        scale: range of the amplitude around 1.
        max_shift: exclusive bound of the circular shift.
        smooth_noise: standard deviation of the noise that is smoothed and replaces the padding.
        white_noise: standard deviation of the noise added to all samples.
        shear: range of the slope that is subtracted.
        length: samples per example.
        seed: of the generator.
    """

    examples: int = 10_000
    train_share: float = 0.8
    padding: tuple[int, int] = (36, 60)
    scale: float = 0.4
    max_shift: int = 48
    smooth_noise: float = 0.25
    white_noise: float = 0.02
    shear: float = 0.75
    length: int = 40
    seed: int = 42


# One row per digit, in arbitrary units: the height of the stroke at twelve equidistant points.
_TEMPLATES = (
    (5, 6, 6.5, 6.75, 7, 7, 7, 7, 6.75, 6.5, 6, 5),
    (5, 3, 3, 3.4, 3.8, 4.2, 4.6, 5, 5.4, 5.8, 5, 5),
    (5, 6, 6.5, 6.5, 6, 5.25, 4.75, 4, 3.5, 3.5, 4, 5),
    (5, 6, 6.5, 6.5, 6, 5, 5, 6, 6.5, 6.5, 6, 5),
    (5, 4.4, 3.8, 3.2, 2.6, 2.6, 5, 5, 5, 5, 5, 5),
    (5, 3, 3, 3, 3, 5, 6, 6.5, 6.5, 6, 4.5, 5),
    (5, 4, 3.5, 3.25, 3, 3, 3, 3, 3.25, 3.5, 4, 5),
    (5, 7, 7, 6.6, 6.2, 5.8, 5.4, 5, 4.6, 4.2, 5, 5),
    (5, 4, 3.5, 3.5, 4, 5, 5, 4, 3.5, 3.5, 4, 5),
    (5, 4, 3.5, 3.5, 4, 5, 5, 5, 5, 4.7, 4.3, 5),
)


def _templates() -> Array:
    rows = np.asarray(_TEMPLATES, dtype=float)
    rows -= rows.mean(1, keepdims=True)
    rows /= rows.std(1, keepdims=True)
    rows -= rows[:, :1]  # a signal starts at zero
    return rows / 6.0


@dataclass(frozen=True, kw_only=True)
class _Draws:
    """Random numbers of all examples, one row each."""

    padding: npt.NDArray[np.int64]
    scale: Array
    shift: npt.NDArray[np.int64]
    smooth: Array
    white: Array
    slope: Array


def _draw(random: np.random.RandomState, recipe: Recipe, wide: int) -> _Draws:
    """Draw for every example in the published order; another order of the same draws would give another data set."""
    low, high = recipe.padding
    rows = [
        (
            low + int(random.rand() * (high - low + 1)),
            1 + recipe.scale * (random.rand() - 0.5),
            int(random.choice(recipe.max_shift)),
            recipe.smooth_noise * random.randn(wide),
            recipe.white_noise * random.randn(wide),
            recipe.shear * (random.rand() - 0.5),
        )
        for _ in range(recipe.examples // 10 * 10)
    ]
    names = ("padding", "scale", "shift", "smooth", "white", "slope")
    return _Draws(**{name: np.asarray(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)})


def _stretch(rows: Array, length: int) -> Array:
    """Resample each row to ``length`` equidistant points linearly, in the arithmetic of ``numpy.interp``."""
    old, new = np.linspace(0, 1, rows.shape[1]), np.linspace(0, 1, length)
    left = np.clip(np.searchsorted(old, new, side="right") - 1, 0, len(old) - 2)
    slope = (rows[:, left + 1] - rows[:, left]) / (old[left + 1] - old[left])
    inside = slope * (new - old[left]) + rows[:, left]
    return np.where(new >= old[-1], rows[:, -1:], np.where(new == old[left], rows[:, left], inside))


def _dilate(rows: Array, padding: npt.NDArray[np.int64], wide: int) -> Array:
    """Pad each row with its own number of zeros and stretch it to ``wide``; rows of equal padding go together."""
    out = np.empty((len(rows), wide))
    for count in np.unique(padding):
        chosen = padding == count
        out[chosen] = _stretch(np.pad(rows[chosen], ((0, 0), (0, int(count)))), wide)
    return out


def generate(recipe: Recipe | None = None) -> tuple[Array, npt.NDArray[np.int64]]:
    """Generate MNIST-1D.

    Returns:
        inputs, shape (examples, length), mean 0 and standard deviation 1 over the whole set; labels, shape (examples,).
        The first ``train_share`` of them are the published training split.

    Example:
        >>> x, y = generate(Recipe(examples=100))
        >>> x.shape, np.bincount(y).tolist()
        ((100, 40), [10, 10, 10, 10, 10, 10, 10, 10, 10, 10])
    """
    recipe = recipe or Recipe()
    random = np.random.RandomState(recipe.seed)  # the generator of the publication
    wide = len(_TEMPLATES[0]) + recipe.padding[1]
    draws = _draw(random, recipe, wide)
    labels = np.repeat(np.arange(10), recipe.examples // 10)
    order = random.permutation(len(labels))
    # The offset of 1e-8 distinguishes zeros of the stroke from those of the padding.
    x = _examples(_templates()[labels] + 1e-8, draws, recipe, wide)[order]
    return (x - x.mean()) / x.std(), labels[order]


def _examples(strokes: Array, draws: _Draws, recipe: Recipe, wide: int) -> Array:
    from scipy.ndimage import gaussian_filter1d  # noqa: PLC0415 # takes 0.5 s to import, and only this task needs it

    rows = _dilate(strokes, draws.padding, wide) * draws.scale[:, None]
    rows = np.take_along_axis(rows, (np.arange(wide) - draws.shift[:, None]) % wide, axis=1)
    rows = np.where(rows != 0, rows, gaussian_filter1d(draws.smooth, 2, axis=1))
    rows = rows + draws.white
    rows = rows - draws.slope[:, None] * np.linspace(-0.5, 0.5, wide)
    return _stretch(rows, recipe.length)


@lru_cache(maxsize=1)
def _published_data() -> Data:
    x, y = generate()
    split = int(len(y) * Recipe().train_share)
    inputs, labels = torch.from_numpy(x).float(), torch.from_numpy(y)
    return Data(train=Split(x=inputs[:split], y=labels[:split]), test=Split(x=inputs[split:], y=labels[split:]))


class NoisyMLP(nn.Module):
    """MLP 40-128-10 of the notebook, with a row of uniform noise of +-0.1 on the hidden units, one row per batch.

    The notebook comments on the noise "this is important"; it is active in evaluation as well.

    Example:
        >>> NoisyMLP()(torch.zeros(5, 40)).shape
        torch.Size([5, 10])
    """

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(40, 128)
        self.activation = nn.ReLU()
        self.outer = nn.Linear(128, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Map signals, shape (n, 40), to logits, shape (n, 10)."""
        hidden = self.activation(self.inner(x))
        return self.outer(hidden + 0.1 * (2 * torch.rand(1, 128) - 1))  # type: ignore[no-any-return] # nn.Module calls are untyped


class PublishedRMSprop(torch.optim.Optimizer):
    """RMSprop of the notebook: ``s = 0.4 s + 0.6 g^2``, with s = 1 at the start, and ``w -= lr g / (sqrt(s) + 1e-8)``.

    Example:
        >>> PublishedRMSprop(nn.Linear(2, 1).parameters(), 0.01).defaults["lr"]
        0.01
    """

    def __init__(self, params: Iterable[nn.Parameter], lr: float) -> None:
        super().__init__(params, {"lr": lr, "decay": 0.4})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override] # noqa: ARG002 # torch passes one; none is used
        """Take one step; parameters without a gradient are not changed."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._update(weight, weight.grad, group["lr"], group["decay"])

    def _update(self, weight: Tensor, grad: Tensor, lr: float, decay: float) -> None:
        square = self.state[weight].setdefault("square", torch.ones_like(weight))
        square.mul_(decay).addcmul_(grad, grad, value=1 - decay)
        weight.addcdiv_(grad, square.sqrt().add_(1e-8), value=-lr)


def _mean(losses: Sequence[float]) -> float:
    return float(np.mean(losses))


def training_loss_task() -> Task:
    """Return the published experiment, whose result is the mean of the 301 training losses; smaller is better.

    Published for one seed on a GPU: relu 1.337, swish 1.368, elu 1.474, tanh 1.524, softplus 1.647, sigmoid 1.753.

    Example:
        >>> training_loss_task().steps
        301
    """
    return replace(
        accuracy_task(),
        name="mnist1d",
        metric_name="mean training loss",
        direction="min",
        rope=0.01,
        curve_metric=_mean,
        description="MNIST-1D, 40-128-10, mean of the 301 training losses (published settings)",
    )


def accuracy_task() -> Task:
    """Return the same training, evaluated by accuracy on the 2,000 test examples.

    Example:
        >>> accuracy_task().direction
        'max'
    """
    return Task(
        name="mnist1d:accuracy",
        model=lambda seed: NoisyMLP(),  # noqa: ARG005 # the generator is seeded before the call
        data=lambda seed: _published_data(),  # noqa: ARG005 # one published data set for all seeds
        loss=functional.cross_entropy,
        metric=accuracy,
        optimizer=PublishedRMSprop,
        learning_rate=0.01,
        batch_size=100,
        epochs=4,
        steps=301,
        shuffle=False,
        input_kind="series",
        description="MNIST-1D, 40-128-10, test accuracy (published settings)",
        source="mnist1d, protocol 1",
    )
