"""Context managers that seed global generators, restore process state and limit torch to one thread."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import numpy as np
import torch

from actlab.tasks.process_state import restored_process

__all__ = ["isolated", "one_thread", "seed_all", "torch_threads"]


@contextmanager
def isolated(seed: int) -> Iterator[None]:
    """Seed the global generators of torch, numpy and ``random`` inside the block, and restore them afterwards.

    User code draws from the global generators; this is the only place that changes them. What else it may change of the process, such as
    the working folder or the default dtype, is restored as well, see :func:`actlab.tasks.process_state.restored_process`.

    Example:
        >>> before = torch.get_rng_state()
        >>> with isolated(0):
        ...     first = torch.rand(1)
        >>> bool((torch.get_rng_state() == before).all())
        True
    """
    numpy_state, python_state = np.random.get_state(), random.getstate()  # noqa: NPY002 # saved for user code, which may use it
    with restored_process(), torch.random.fork_rng(devices=[]):
        seed_all(seed)
        try:
            yield
        finally:
            np.random.set_state(numpy_state)  # noqa: NPY002 # see above
            random.setstate(python_state)


def seed_all(seed: int) -> None:
    """Seed the global generators of torch, numpy and ``random``; call it inside :func:`isolated` only."""
    # torch would note the seed for devices that it was built without, in 0.1 ms.
    if torch.accelerator.current_accelerator() is None:
        torch.default_generator.manual_seed(seed)
    else:
        torch.manual_seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 # user code may draw from it
    random.seed(seed)


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Run torch on a number of threads inside the block.

    Example:
        >>> with torch_threads(1):
        ...     torch.get_num_threads()
        1
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def one_thread() -> AbstractContextManager[None]:
    """Run torch on one thread inside the block.

    More threads would change the order of sums, and with it the last bits. A forked process in which torch has already used its
    thread pool needs it as well: the pool's threads do not exist in the copy, and a parallel operation would wait for them forever.

    Example:
        >>> with one_thread():
        ...     torch.get_num_threads()
        1
    """
    return torch_threads(1)
