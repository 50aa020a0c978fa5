"""Properties that every corruption has."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from actlab.evaluate.corruptions.by_kind import CORRUPTIONS
from actlab.evaluate.corruptions.corruption import Corruption, Reference
from actlab.evaluate.input_kind import InputKind
from actlab.evaluate.undefined_axis import UndefinedAxisError

SEVERITIES = (0.2, 0.4, 0.6, 0.8, 1.0)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def pictures(*shape: int) -> Tensor:
    """Smooth images with edges, in [0, 1], that reach both ends."""
    rows = torch.linspace(0, 3, shape[-2])[:, None]
    columns = torch.linspace(0, 2, shape[-1])[None]
    phases = 6 * torch.rand((*shape[:-2], 1, 1), generator=generator())
    x = 0.5 + 0.5 * torch.sin(3 * rows + phases) * torch.cos(2 * columns - phases)
    return torch.where(x > 0.75, 1.0, x).clamp(0, 1)


EXAMPLES: dict[str, tuple[InputKind, Tensor]] = {
    "gray": ("image", pictures(120, 1, 28, 28)),
    "small": ("image", pictures(200, 1, 8, 8)),
    "oblong": ("image", pictures(120, 3, 12, 20)),
    "no channels": ("image", pictures(120, 16, 16)),
    "normalised colours": (
        "image",
        (pictures(30, 3, 20, 20) - torch.tensor([0.4, 0.5, 0.6])[:, None, None])
        / torch.tensor([0.2, 0.3, 0.1])[:, None, None],
    ),
    "double": ("image", pictures(100, 1, 16, 16).double()),
    "table": ("table", torch.randn((300, 6), generator=generator()) * torch.tensor([1, 10, 0.1, 1, 5, 2.0])),
    "counts": ("table", torch.randint(0, 50, (300, 5), generator=generator())),
    "one series": ("series", torch.randn((200, 40), generator=generator()).cumsum(1)),
    "channels first": ("series", torch.randn((200, 3, 50), generator=generator())),
    "time first": ("series", torch.randn((200, 50, 3), generator=generator()).double()),
    "scalars": ("series", torch.randn(200, generator=generator())),
    "text": ("text", torch.randint(0, 30, (200, 24), generator=generator())),
}
ALL = [(name, corruption) for name, (kind, _) in EXAMPLES.items() for corruption in CORRUPTIONS[kind].values()]


def distance(a: Tensor, b: Tensor, kind: str) -> float:
    if kind == "text":
        return float((a != b).double().mean())
    return float((a - b).double().square().mean().sqrt())


@pytest.mark.parametrize(("name", "corruption"), ALL, ids=[f"{name}-{corruption.name}" for name, corruption in ALL])
def test_distance_grows_with_severity_from_nothing_and_repeats(name: str, corruption: Corruption) -> None:
    kind, x = EXAMPLES[name]
    before, reference = x.clone(), Reference(x, kind)
    assert torch.equal(corruption(x, 0, reference), x)
    found = [corruption(x, severity, reference) for severity in SEVERITIES]
    assert all(y.shape == x.shape and y.dtype == x.dtype for y in found)
    assert torch.equal(found[-1], corruption(x, 1.0, reference))
    assert torch.equal(x, before)
    distances = [distance(x, y, kind) for y in found]
    without_time = name == "scalars" and distances[-1] == 0  # nothing can be late, held or smoothed
    assert all(low <= high * 1.02 for low, high in pairwise(distances))
    assert distances[-1] > 0 or without_time
    assert all(bool(y.isfinite().all()) for y in found if y.is_floating_point())


@pytest.mark.parametrize(
    ("name", "corruption"), [(n, c) for n, c in ALL if EXAMPLES[n][0] in {"image", "table"}], ids=lambda v: str(v)[:40]
)
def test_images_and_tables_keep_to_the_range_of_training(name: str, corruption: Corruption) -> None:
    kind, x = EXAMPLES[name]
    dims = (0, 2, 3) if x.ndim == 4 else (0, 1, 2) if x.ndim == 3 else (0,)
    low, high = x.amin(dims, keepdim=True), x.amax(dims, keepdim=True)
    for severity in SEVERITIES:
        y = corruption(x, severity, Reference(x, kind))
        assert bool(((y >= low) & (y <= high)).all())


def test_a_corruption_that_leaves_the_range_would_be_seen() -> None:
    kind, x = EXAMPLES["gray"]
    loud = Corruption(name="loud", corrupt=lambda x, severity, *_: x + severity, description="a planted fault")
    assert bool((loud(x, 0.2, Reference(x, kind)) > x.max()).any())


def test_bytes_stay_bytes() -> None:
    x = (255 * pictures(40, 3, 12, 12)).byte()
    for corruption in CORRUPTIONS["image"].values():
        y = corruption(x, 0.6, Reference(x, "image"))
        assert y.dtype == torch.uint8
        assert not torch.equal(x, y)


def test_a_channel_that_never_changes_and_values_outside_of_training_stay() -> None:
    x = pictures(30, 2, 16, 16)
    x[:, 1] = 1.0
    reference = Reference(x * 0.5 + 0.25, "image")
    for corruption in CORRUPTIONS["image"].values():
        y = corruption(x, 0.8, reference)
        assert torch.equal(y[:, 1], x[:, 1]), corruption.name
        assert float(y[:, 0].min()) >= 0.0
        assert float(y[:, 0].max()) <= 1.0


def test_other_seeds_and_other_corruptions_draw_other_numbers() -> None:
    kind, x = EXAMPLES["table"]
    noise, reference = CORRUPTIONS[kind]["noise"], Reference(x, kind)
    assert not torch.equal(noise(x, 1, reference, seed=1), noise(x, 1, reference, seed=2))


def test_flags_stay_flags_and_missing_values_stay_missing() -> None:
    made = generator()
    x = torch.stack((torch.randn(400, generator=made), (torch.rand(400, generator=made) < 0.2).float()), dim=1)
    x[::7, 0] = float("nan")
    for corruption in CORRUPTIONS["table"].values():
        y = corruption(x, 1.0, Reference(x, "table"))
        assert set(y[:, 1].nan_to_num(0).tolist()) <= {0.0, 1.0}, corruption.name
        if corruption.name in {"noise", "drift", "rounding", "extreme values"}:
            assert torch.equal(y[:, 0].isnan(), x[:, 0].isnan()), corruption.name


def test_missing_values_are_the_median_of_training_or_missing_where_training_knows_that() -> None:
    made, missing = generator(), CORRUPTIONS["table"]["missing values"]
    x, train = torch.randn((500, 2), generator=made), torch.randn((501, 2), generator=made)
    y = missing(x, 1.0, Reference(train, "table"))
    changed = y != x
    assert float(changed.double().mean()) == pytest.approx(0.5, abs=0.05)
    assert torch.equal(y[changed], train.median(0).values.expand_as(y)[changed])
    train[0, 0] = float("nan")
    y = missing(x, 1.0, Reference(train, "table"))
    assert float(y.isnan().double().mean()) == pytest.approx(0.5, abs=0.05)


def test_dropped_samples_hold_the_last_value() -> None:
    x = torch.arange(40.0).repeat(50, 1)
    y = CORRUPTIONS["series"]["dropped samples"](x, 1.0, Reference(x, "series"))
    assert bool((y <= x).all())
    assert bool((y.diff(dim=1) >= 0).all())
    assert torch.equal(y[:, 0], x[:, 0])
    assert float((y != x).double().mean()) == pytest.approx(0.7, abs=0.05)


def test_gaussian_blur_and_noise_have_the_strength_that_they_say() -> None:
    x = torch.full((50, 1, 40, 40), 0.5)
    x[0, 0, 0, 0], x[1, 0, 0, 0] = 0.0, 1.0
    noise = CORRUPTIONS["image"]["gaussian noise"](x, 0.3, Reference(x, "image")) - x
    assert float(noise.std()) == pytest.approx(0.38 * 0.3, rel=0.02)
    point = torch.zeros(1, 1, 41, 41)
    point[0, 0, 20, 20] = 1.0
    blurred = CORRUPTIONS["image"]["gaussian blur"](point, 1.0, Reference(point, "image"))[0, 0]
    places = torch.arange(41.0) - 20
    variance = float((blurred.sum(0) * places**2).sum() / blurred.sum())
    assert variance**0.5 == pytest.approx(0.07 * 41, rel=0.02)


def test_rotation_of_an_oblong_image_is_one() -> None:
    """A point at a distance to the right goes down or up by the sine of the angle, whatever the ratio of the sides."""
    x = torch.zeros(20, 1, 21, 41)
    x[:, 0, 9:12, 29:32] = 1.0  # 10 to the right of the middle
    y = CORRUPTIONS["image"]["rotation"](x, 0.75, Reference(x, "image"))[:, 0]  # by 30 degrees
    rows = (y.sum(2) * (torch.arange(21.0) - 10)).sum(1) / y.sum((1, 2))
    columns = (y.sum(1) * (torch.arange(41.0) - 20)).sum(1) / y.sum((1, 2))
    assert torch.allclose(rows.abs(), torch.tensor(5.0), atol=0.2)
    assert torch.allclose(columns, torch.tensor(10 * 0.8660), atol=0.2)


@pytest.mark.parametrize("name", CORRUPTIONS["image"])
def test_images_that_are_stored_flat_are_corrupted_as_the_images(name: str) -> None:
    corruption, images = CORRUPTIONS["image"][name], pictures(20, 1, 12, 12)
    flat = images.flatten(1)

    found = corruption(flat, 0.6, Reference(flat, "image"), 0)

    assert torch.equal(found, corruption(images, 0.6, Reference(images, "image"), 0).flatten(1))


def test_rows_that_are_no_images_are_not_corrupted_as_such() -> None:
    rows = torch.rand(20, 7, generator=generator())

    with pytest.raises(UndefinedAxisError, match="rows of 7 numbers"):
        CORRUPTIONS["image"]["shift"](rows, 0.6, Reference(rows, "image"), 0)
