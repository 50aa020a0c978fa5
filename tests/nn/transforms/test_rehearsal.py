"""The dry run of a replacement compares outputs element by element, whatever else is in them."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from actlab.errors import SiteError
from actlab.nn.transforms.swap import swap_

X = torch.linspace(-2, 2, 24).reshape(6, 4)
FILLS = [0.0, -1e9, 1e30, torch.finfo(torch.float32).min, float("-inf"), float("inf"), float("nan")]


@dataclass
class Result:
    scores: Tensor


class Masked(nn.Module):
    """Reads again what an activation has overwritten, and fills a part of the result."""

    def __init__(self, fill: float, kept: int, *, reads_again: bool = True, wrap=lambda scores: scores) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.a = nn.Linear(4, 6)
        self.act = nn.ReLU(inplace=True)
        self.fill, self.kept, self.reads_again, self.wrap = fill, kept, reads_again, wrap

    def forward(self, x):
        h = self.a(x)
        out = self.act(h) + (h if self.reads_again else 1.0)
        return self.wrap(out.masked_fill(torch.arange(6) >= self.kept, self.fill))


@pytest.mark.parametrize("kept", [1, 4])
@pytest.mark.parametrize("fill", FILLS)
def test_a_change_is_found_beside_any_filling(fill, kept):
    with pytest.raises(SiteError, match="overwrites its input, which the model uses afterwards"):
        swap_(Masked(fill, kept), "relu", X)


@pytest.mark.parametrize("fill", FILLS)
def test_a_model_that_allows_for_the_swap_passes_with_any_filling(fill):
    model = Masked(fill, 4, reads_again=False)
    before = model(X)

    swap_(model, "relu", X)

    assert torch.equal(model(X).nan_to_num(0.5), before.nan_to_num(0.5))


WRAPS = {
    "dataclass": lambda scores: Result(scores=scores),
    "dict": lambda scores: {"scores": [scores]},
    "distribution": lambda scores: torch.distributions.Categorical(logits=scores),
    "complex": lambda scores: torch.complex(scores, scores),
    "sparse": lambda scores: scores.to_sparse(),
    "boolean": lambda scores: scores < 0,
}


@pytest.mark.parametrize("what", WRAPS)
def test_a_change_is_found_in_any_kind_of_output(what):
    with pytest.raises(SiteError, match="overwrites its input"):
        swap_(Masked(0.0, 6, wrap=WRAPS[what]), "relu", X)
    assert len(swap_(Masked(0.0, 6, reads_again=False, wrap=WRAPS[what]), "relu", X)) == 1


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_it_is_found_in_other_dtypes(dtype):
    with pytest.raises(SiteError, match="overwrites its input"):
        swap_(Masked(-1e4, 4).to(dtype), "relu", X.to(dtype))
    assert len(swap_(Masked(-1e4, 4, reads_again=False).to(dtype), "relu", X.to(dtype))) == 1


class Blocks(nn.Module):
    """Residual blocks with a function that is written out, which rounds otherwise than a layer."""

    def __init__(self, depth, *, has_norms):
        super().__init__()
        self.ups, self.downs = (
            nn.ModuleList(nn.Linear(*sizes) for _ in range(depth)) for sizes in ((32, 64), (64, 32))
        )
        self.norm, self.head = nn.LayerNorm(32) if has_norms else nn.Identity(), nn.Linear(32, 3)

    def forward(self, x):
        for up, down in zip(self.ups, self.downs, strict=True):
            h = up(self.norm(x))
            x = x + down(h * torch.sigmoid(1.702 * h))
        return self.head(x)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("depth", "has_norms"), [(1, True), (6, False), (24, True)])
def test_rounding_in_half_precision_is_no_change(dtype, depth, has_norms):
    torch.manual_seed(0)
    model = Blocks(depth, has_norms=has_norms).to(dtype)

    changes = swap_(model, "gelu", torch.randn(16, 32, dtype=dtype))

    assert (len(changes), len(changes.skipped)) == (1, 0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_an_input_that_is_overwritten_is_found_in_half_precision(dtype):
    class Overwriting(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.outer, self.act = nn.Linear(16, 16), nn.Linear(16, 4), nn.SiLU(inplace=True)

        def forward(self, x):
            h = self.inner(x)
            return self.outer(self.act(h) + 0.5 * h)

    with pytest.raises(SiteError, match="overwrites its input"):
        swap_(Overwriting().to(dtype), "gelu", torch.randn(16, 16, dtype=dtype))
