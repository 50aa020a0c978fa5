"""Classification of Fashion-MNIST with LeNet-5 or an MLP, from local idx files."""

from __future__ import annotations

import gzip
import os
import zlib
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from actlab.errors import TaskError
from actlab.tasks.builtin.stratified_split import digit_images
from actlab.tasks.data import Data, Split
from actlab.tasks.task import Task, accuracy

__all__ = ["FOLDER_VARIABLE", "lenet_task", "mlp_task", "read_idx"]

FOLDER_VARIABLE = "ACTLAB_FASHION_MNIST"
_DEBIAN_FOLDER = "/usr/share/datasets/fashion-mnist"
_FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
_UNSIGNED_BYTE = 0x08
_VALIDATION = 5_000  # images held back from training


def read_idx(path: Path) -> npt.NDArray[np.uint8]:
    """Read an idx file of unsigned bytes, gzipped or plain: two zero bytes, type, number of dimensions, sizes, values.

    Returns:
        Array, uint8, of the shape in the file's header.

    Raises:
        TaskError: the file is missing, truncated, damaged, or no idx file of unsigned bytes.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "labels-idx1-ubyte"
        >>> _ = path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 2, 7, 9]))
        >>> read_idx(path).tolist()
        [7, 9]
    """
    content = _content(path)
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] != _UNSIGNED_BYTE:
        raise TaskError(
            f"{path} is no idx file of unsigned bytes: "
            f"it starts with {content[:4].hex(' ')}, expected 00 00 08 and the number of dimensions."
        )
    start = 4 + 4 * content[3]
    if len(content) < start:
        raise TaskError(
            f"{path} is cut short: its header needs {start} bytes and it has {len(content)}. Download it again."
        )
    shape = np.frombuffer(content[4:start], dtype=">u4").astype(np.int64)
    expected = start + int(np.prod(shape))
    if len(content) != expected:
        raise TaskError(
            f"{path} has {len(content)} bytes where its header asks for {expected} "
            f"(shape {tuple(shape.tolist())}). Download it again."
        )
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)


def _content(path: Path) -> bytes:
    try:
        raw = path.read_bytes()
        return gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    except OSError as error:
        raise TaskError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (EOFError, zlib.error) as error:
        raise TaskError(f"{path} is damaged ({error}). Download it again.") from error


def _folder() -> Path:
    folder = Path(os.environ.get(FOLDER_VARIABLE) or _DEBIAN_FOLDER)
    missing = [name for name in _FILES if not _find(folder, name)]
    if missing:
        raise TaskError(
            f"Fashion-MNIST is not in {folder}: {', '.join(missing)} (plain or .gz) not found. "
            "Install it with `apt install dataset-fashion-mnist` "
            f"(Debian, Ubuntu), or set the variable {FOLDER_VARIABLE} to the folder that holds the four idx files."
        )
    return folder


def _find(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / f"{name}.gz", folder / name) if path.is_file()), None)


def _load(folder: Path) -> tuple[Split, Split]:
    images_train, labels_train, images_test, labels_test = (
        read_idx(_find(folder, name) or folder / name) for name in _FILES
    )
    return _as_split(images_train, labels_train, folder), _as_split(images_test, labels_test, folder)


def _as_split(images: npt.NDArray[np.uint8], labels: npt.NDArray[np.uint8], folder: Path) -> Split:
    if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels):
        raise TaskError(
            f"The files in {folder} do not belong together: "
            f"images of shape {images.shape}, labels of shape {labels.shape}."
        )
    return Split(
        x=torch.from_numpy(images.copy()).unsqueeze(1).float().div_(255), y=torch.from_numpy(labels.astype(np.int64))
    )


@lru_cache(maxsize=1)
def _cached(folder: Path) -> tuple[Split, Split]:
    return _load(folder)


def _data(seed: int) -> Data:
    """Split the training images 55,000 / 5,000 for a seed; inputs (n, 1, 28, 28) in [0, 1]; the test split is fixed."""
    rest, test = _cached(_folder())
    order = torch.randperm(len(rest), generator=torch.Generator().manual_seed(seed))
    train, validation = order[_VALIDATION:], order[:_VALIDATION]
    return Data(
        train=Split(x=rest.x[train], y=rest.y[train]),
        validation=Split(x=rest.x[validation], y=rest.y[validation]),
        test=test,
    )


def _handwritten(seed: int) -> Tensor:  # noqa: ARG001 # the same for every seed
    """Return scikit-learn's 1,797 digits as images of the same size and range, which are no clothes, shape (1797, 1, 28, 28)."""
    pixels = torch.from_numpy(digit_images()[0] / 16).float().reshape(-1, 1, 8, 8)
    return functional.interpolate(pixels, size=(28, 28), mode="bilinear")


def _lenet(seed: int) -> nn.Module:  # noqa: ARG001 # the generator is seeded before the call
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, 10),
    )


def _gelu_paper_mlp(seed: int) -> nn.Module:  # noqa: ARG001 # the generator is seeded before the call
    """Build 784-[128]x8-10 with Gaussian weights, each unit's incoming vector scaled to norm 1, and zero biases."""
    sizes = [784] + [128] * 8 + [10]
    layers: list[nn.Module] = [nn.Flatten()]
    for inputs, outputs in pairwise(sizes):
        layers += [_unit_norm(nn.Linear(inputs, outputs)), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def _unit_norm(layer: nn.Linear) -> nn.Linear:
    with torch.no_grad():
        layer.weight.copy_(functional.normalize(torch.randn_like(layer.weight), dim=1))
        layer.bias.zero_()
    return layer


def lenet_task() -> Task:
    """Return the task with LeNet-5 (61,706 parameters), 5 epochs.

    Example:
        >>> sum(p.numel() for p in lenet_task().model(0).parameters())
        61706
    """
    return Task(
        name="fashion-mnist",
        model=_lenet,
        data=_data,
        loss=functional.cross_entropy,
        metric=accuracy,
        learning_rate=1e-3,
        batch_size=128,
        epochs=5,
        rope=0.003,
        out_of_distribution=_handwritten,
        description="Fashion-MNIST, LeNet-5",
        source="fashion-mnist, protocol 1",
    )


def mlp_task() -> Task:
    """Return the task with the 8x128 net of the GELU paper (arXiv:1606.08415, ``mnist_fcn.py``), 20 epochs.

    Example:
        >>> mlp_task().model(0)[1].weight.norm(dim=1).allclose(torch.ones(128))
        True
    """
    return replace(
        lenet_task(),
        name="fashion-mnist:mlp",
        model=_gelu_paper_mlp,
        epochs=20,
        description="Fashion-MNIST, the 8x128 MLP of the GELU paper",
    )
