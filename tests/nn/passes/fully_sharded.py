"""Train a fully sharded model after each operation, and compare its parameters with those without: KIND WORLD_SIZE."""

from __future__ import annotations

import os
import sys
import warnings

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, FullyShardedDataParallel, fully_shard

import actlab
from actlab.nn.probes.saved_tensors import saved_bytes
from actlab.nn.sites.timing import time_sites


class Block(nn.Module):
    """Counts its calls, and sets its shift in the first pass."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.register_buffer("done", torch.zeros(1))
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.done += 1
        return torch.relu(self.linear(x))


def made(kind: str, world: int) -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), Block(), nn.Linear(4, 2))
    if kind == "FSDP2":
        mesh = init_device_mesh("cpu", (world,))
        fully_shard(model[2], mesh=mesh)
        return fully_shard(model, mesh=mesh)
    options = {"device_id": torch.device("cpu"), "use_orig_params": kind == "FSDP1"}
    model[2] = FullyShardedDataParallel(model[2], **options)
    return FullyShardedDataParallel(model, **options)


def trained(model: nn.Module) -> list[Tensor]:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for number in range(3):
        torch.manual_seed(number)
        optimizer.zero_grad()
        model(torch.randn(3, 4)).square().sum().backward()
        optimizer.step()
    whole = (p.full_tensor() if hasattr(p, "full_tensor") else p for p in model.parameters())
    block = next(module for module in model.modules() if isinstance(module, Block))
    return [*(p.detach().clone() for p in whole), block.done, torch.tensor(float(block.calls))]


def validate(model: nn.Module, x: Tensor) -> nn.Module:
    with torch.no_grad():
        model.eval()(x)
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()  # else an optimizer that is made now gets the parameters of the pass
    return model.train()


def work(rank: int, kind: str, world: int) -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=world)
    x = torch.randn(3, 4)
    square = lambda output, _: output.square().sum()  # noqa: E731 # as users write it
    operations = {
        "find": lambda m: actlab.find(m, x),
        "find twice": lambda m: (actlab.find(m, x), actlab.find(m, x)),
        "times": lambda m: time_sites(m, x, 1),
        "probe": lambda m: actlab.probe(m, [x, x]),
        "swap_": lambda m: actlab.swap_(m, "relu", x),
        "probe with a loss": lambda m: actlab.probe(m, [x], square),
        "probe in training mode": lambda m: actlab.probe(m, [x], training=True),
        "slim_": lambda m: actlab.slim_(m, x),
        "init_": lambda m: actlab.init_(m, x),
        "propagation": lambda m: actlab.propagation(m, x),
        "saved bytes": lambda m: saved_bytes(m, x),
    }
    for name, operation in operations.items():
        model = made(kind, world)
        if name == "probe":  # after a pass of the user's, which counts
            validate(model, x)
        try:
            operation(model)
            said = "returned"
        except actlab.errors.SiteError as error:
            said = str(error)[:80]
        want = trained(validate(made(kind, world), x) if name == "probe" else made(kind, world))
        got = trained(model)
        same = len(got) == len(want) and all(map(torch.equal, want, got))
        sys.stdout.write(f"{rank} {name}: {said}; {'trains as before' if same else 'differs'}\n")
        sys.stdout.flush()
    dist.destroy_process_group()


if __name__ == "__main__":
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(20000 + os.getpid() % 20000))
    if sys.argv[2] == "1":
        work(0, sys.argv[1], 1)
    else:
        mp.spawn(work, (sys.argv[1], int(sys.argv[2])), nprocs=int(sys.argv[2]))
