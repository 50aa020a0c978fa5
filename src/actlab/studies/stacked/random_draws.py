"""Random numbers of a stack, drawn for each model as the trial of that model alone would draw them.

In a trial, user code draws from torch's global generator, which was seeded with the trial's seed. Here the state of that generator is kept
for every seed of the stack: a random function runs once per seed, on the state of the seed. Models of one seed make the same draws, as in
trials of their own, where these do not depend on values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from actlab.studies.stacked.stacked_tensor import StackedTensor, StackError, raw

__all__ = ["RandomDraws"]

# By what the numbers depend on: only sizes; the shape of a tensor; a tensor's shape, as a factor of it.
_OF_SIZES: Final = frozenset({torch.rand, torch.randn, torch.randint, torch.randperm})
_OF_SHAPE: Final = frozenset({torch.rand_like, torch.randn_like, torch.randint_like})
_FACTORS: Final = frozenset(
    {functional.dropout, functional.dropout1d, functional.dropout2d, functional.dropout3d, torch.dropout}
)
# By values: run model by model, on the state of the seed before.
_OF_VALUES: Final = frozenset({torch.bernoulli, torch.normal, torch.poisson, torch.multinomial, torch.Tensor.bernoulli,
                               torch.Tensor.multinomial, functional.alpha_dropout, functional.feature_alpha_dropout})  # fmt: skip
# In place, on tensors that may belong to all models: not possible here.
_IN_PLACE: Final = frozenset(
    getattr(torch.Tensor, f"{name}_")
    for name in ("random", "normal", "uniform", "bernoulli", "exponential", "geometric", "cauchy", "log_normal")
)


class RandomDraws(TorchFunctionMode):
    """Mode in which torch's random functions draw one set of numbers per model.

    Args:
        seeds: of the models, in their order.

    Example:
        >>> with RandomDraws([3, 3, 5]):
        ...     drawn = torch.rand(2)
        >>> a, b, c = drawn.stacked
        >>> bool((a == b).all()), bool((c == torch.rand(2, generator=torch.Generator().manual_seed(5))).all())
        (True, True)
    """

    def __init__(self, seeds: Sequence[int]) -> None:
        super().__init__()
        order = list(dict.fromkeys(seeds))
        self._first = [list(seeds).index(seed) for seed in order]
        self._index = torch.tensor([order.index(seed) for seed in seeds])
        self._models = [[place for place, it in enumerate(seeds) if it == seed] for seed in order]
        self._states = [torch.Generator().manual_seed(seed).get_state() for seed in order]
        self.count = 0  # random functions called

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Have the block draw numbers that do not change what is drawn afterwards."""
        states, count = list(self._states), self.count
        try:
            yield
        finally:
            self._states, self.count = states, count

    def state(self, model: int) -> Tensor:
        """Return the state of torch's generator for a model."""
        return self._states[int(self._index[model])]

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        options = dict(kwargs or {})
        if func in _OF_SIZES and "out" not in options and options.get("generator") is None:
            return self._drawn(lambda _: func(*args, **options))
        if func in _OF_SHAPE and options.get("generator") is None:
            return self._drawn(lambda model: func(_of_model(args[0], model), *args[1:], **options))
        if func in _FACTORS:
            return self._scaled(func, *args, **options)
        if func in _OF_VALUES:
            return self._each(func, args, options)
        if func in _IN_PLACE:
            raise StackError(
                f"Tensor.{func.__name__} draws random numbers in place, which cannot differ between models"
            )
        return func(*args, **options)

    def _drawn(self, draw: Callable[[int], Tensor]) -> StackedTensor:
        """Return what is drawn once for each seed; ``draw`` takes a model of that seed."""
        return StackedTensor(torch.stack(self._of_seeds(draw)).index_select(0, self._index))

    def _of_seeds(self, draw: Callable[[int], Tensor]) -> list[Tensor]:
        self.count += 1
        generator, drawn = torch.default_generator, []
        own = generator.get_state()
        for place, model in enumerate(self._first):
            generator.set_state(self._states[place])
            drawn.append(draw(model))
            self._states[place] = generator.get_state()
        generator.set_state(own)
        return drawn

    def _scaled(self, func: Any, x: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
        """Apply dropout, whose result is the input times random factors."""
        if not training or not isinstance(x, Tensor):
            return x
        factors = self._drawn(lambda model: func(torch.ones_like(_of_model(x, model)), p, True))
        if inplace and isinstance(x, StackedTensor):
            x.stacked.mul_(factors.stacked)
            return x
        return StackedTensor(raw(x) * factors.stacked)

    def _each(self, func: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        self.count += 1
        generator, results = torch.default_generator, dict[int, Tensor]()
        own = generator.get_state()
        for place, models in enumerate(self._models):
            before, after = self._states[place], None
            for model in models:
                generator.set_state(before)
                results[model] = func(
                    *(_of_model(it, model) for it in args), **{k: _of_model(v, model) for k, v in options.items()}
                )
                state = generator.get_state()
                if after is not None and not torch.equal(state, after):
                    raise StackError(f"{func.__name__} draws other numbers of random numbers for other models")
                after = self._states[place] = state
        generator.set_state(own)
        return StackedTensor(torch.stack([results[model] for model in range(len(self._index))]))


def _of_model(value: Any, model: int) -> Any:
    return value.stacked[model] if isinstance(value, StackedTensor) else value
