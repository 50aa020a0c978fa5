"""Sites and swaps in third-party architectures, compared with dispatched operators and with models built with the other function.

    python benchmarks/architectures.py                     # the table; exit code 1 on a fault
    python benchmarks/architectures.py --out docs/reference/architectures.md
    python benchmarks/architectures.py Bert Whisper        # only these

Every model is small and has random weights; nothing is downloaded. The reference for the sites is independent of ActLab: a dispatch mode
below autograd records every ATen operator that runs, and torch's global hooks record the module. Each operator that is an activation must
be accounted for by a site, as often as the site reports. The reference for a swap is the same model built with mish (by its
config, or by hand), with the same weights: outputs must agree. After the swap the old checkpoint must load, and vice versa; after
undo the output must equal the old one to the bit.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"  # no network access

import torch
import zoo  # beside this file
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from zoo import Architecture

import actlab
from actlab.nn.sites.find import Site

# ATen operators that are activations, and the possible names of their sites.
OPERATORS = {
    "_log_softmax": {"log_softmax"},
    "_prelu_kernel": {"prelu"},
    "_safe_softmax": {"softmax"},
    "_scaled_dot_product_efficient_attention": {"softmax"},
    "_scaled_dot_product_flash_attention": {"softmax"},
    "_scaled_dot_product_flash_attention_for_cpu": {"softmax"},
    "_softmax": {"softmax", "softmin"},
    "celu": {"celu"},
    "elu": {"elu", "selu", "celu"},
    "_transformer_encoder_layer_fwd": {"gelu", "relu"},  # includes its attention, which is not counted separately
    "erf": {"gelu"},
    "gelu": {"gelu", "gelu_tanh"},
    "glu": {"glu"},
    "hardshrink": {"hardshrink"},
    "hardsigmoid": {"hardsigmoid"},
    "hardswish": {"hardswish"},
    "hardtanh": {"hardtanh", "relu6"},
    "leaky_relu": {"leaky_relu"},
    "log_sigmoid_forward": {"logsigmoid"},
    "lstm": {"sigmoid"},
    "mish": {"mish"},
    "mkldnn_rnn_layer": {"sigmoid"},
    "relu": {"relu", "squared_relu"},
    "relu6": {"relu6"},
    "rrelu_with_noise": {"rrelu"},
    "sigmoid": {"sigmoid", "gelu_sigmoid", "silu"},  # the last two written out
    "silu": {"silu"},
    "softplus": {"softplus"},
    "softshrink": {"softshrink"},
    "tanh": {"tanh", "gelu_tanh"},
    "threshold": {"threshold"},
}
TOLERANCE = 1e-5


@dataclass
class Dispatched:
    """Number of calls of operators by the modules in which they ran (innermost last) and by name."""

    counts: Counter[tuple[tuple[int, ...], str]] = field(default_factory=Counter)


class _Listener(TorchDispatchMode):
    def __init__(self, heard: Dispatched, stack: list[int]) -> None:
        super().__init__()
        self.heard, self.stack = heard, stack

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__.rstrip("_")
        if name in OPERATORS:
            self.heard.counts[tuple(self.stack), name] += 1
        return func(*args, **(kwargs or {}))


@contextmanager
def _stack() -> Iterator[list[int]]:
    """Track the modules that are running, by identity, with torch's global module hooks."""
    stack: list[int] = []
    enter = nn.modules.module.register_module_forward_pre_hook(lambda module, _: stack.append(id(module)))
    leave = nn.modules.module.register_module_forward_hook(lambda *_: _drop(stack), always_call=True)
    yield stack
    enter.remove()
    leave.remove()


def _drop(stack: list[int]) -> None:
    stack.pop()


def called(model: nn.Module, inputs: Any) -> Any:
    """Return the output of a model without gradients."""
    with torch.no_grad():
        return model(**inputs) if isinstance(inputs, dict) else model(inputs)


def dispatched(model: nn.Module, inputs: Any) -> Dispatched:
    """Run a model and count the activations among the operators that reach the dispatcher."""
    heard = Dispatched()
    with _stack() as stack, _Listener(heard, stack), warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "Using `torch.compile.module.` when there are global hooks"
        )  # which are used here
        called(model, inputs)
    return heard


# -------------------------------------------------------------------------------------------- comparison


def _owner(site: Site) -> str:
    """Return the path of the module that is the site, or in which it is called."""
    before = site.path.partition(":")[0].partition("#")[0]
    return before if site.kind == "module" else before.rpartition(".")[0]


@dataclass
class Reconciled:
    """Comparison of operators and sites.

    Attributes:
        heard: number of calls of operators that are activations.
        explained: how many of them a site accounts for.
        strangers: operators without a site, and sites that report more calls than there were operators.
    """

    heard: int
    explained: int
    strangers: list[str]


def reconciled(model: nn.Module, sites: list[Site], heard: Dispatched) -> Reconciled:
    """Account for every operator by a site, and for every call of a site by operators."""
    names = {id(module): path for path, module in model.named_modules()}
    whole = {_owner(site): site for site in sites if site.kind == "module" and ":" not in site.path}
    fused = {_owner(site) for site in sites if site.kind == "module" and ":" in site.path}
    calls: dict[tuple[str, str], int] = defaultdict(int)
    for site in sites:
        if site.kind == "function":
            calls[_owner(site), str(site.name)] += site.calls or 0
    inside: Counter[str] = Counter()
    explained, strangers = 0, []
    for (stack, operator), count in heard.counts.items():
        paths = [names.get(part, "?") for part in stack]
        module = next((path for path in paths if path in whole or path in fused), None)
        if module is not None:
            inside[module] += count
            explained += count
            continue
        at = next((path for path in reversed(paths) if path != "?"), "")
        taken = _take(calls, at, operator, count)
        explained += taken
        if taken < count:
            strangers.append(f"{operator} ran {count - taken} times in {at or 'the model'}, where no site reports it")
    strangers += [f"{path} was called {site.calls} times and {inside[path]} operators ran" for path, site in whole.items()
                  if (inside[path] % site.calls if site.calls else inside[path]) or (site.calls and not inside[path])]  # fmt: skip
    strangers += [
        f"{name} in {path or 'the model'} ran {n} times less often than its site reports"
        for (path, name), n in calls.items()
        if n
    ]
    return Reconciled(heard=sum(heard.counts.values()), explained=explained, strangers=strangers)


def _take(calls: dict[tuple[str, str], int], at: str, operator: str, count: int) -> int:
    """Subtract operators from the calls that the sites of a module report; return how many could be subtracted."""
    taken = 0
    for name in OPERATORS[operator]:
        here = min(count - taken, calls.get((at, name), 0))
        if here:
            calls[at, name] -= here
            taken += here
    return taken


@dataclass
class Row:
    """Results for one architecture.

    Attributes:
        name: of the architecture.
        source: library that defines it.
        ran: sites that ran.
        replaceable: those of them that a swap can replace.
        operators: calls of operators that are activations.
        explained: those of them that a site accounts for.
        swapped: sites that were swapped.
        difference: largest difference from the model built with the other function, relative to its largest output.
        loads: whether the checkpoint from before loads afterwards, and vice versa.
        undone: whether undo restores the old output to the bit.
        faults: statements that do not hold.
        reasons: why sites cannot be replaced, with their number.
        unsupported: why nothing was swapped.
    """

    name: str
    source: str
    ran: int = 0
    replaceable: int = 0
    operators: int = 0
    explained: int = 0
    swapped: int = 0
    difference: float = float("nan")
    loads: bool = False
    undone: bool = False
    faults: list[str] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    unsupported: str = ""


def examined(one: Architecture) -> Row:
    """Find the sites of an architecture, swap them, compare, and undo the swap."""
    row = Row(name=one.name, source=one.source)
    model = stirred(one.build(None)).eval()
    sites = actlab.find(model, one.inputs)
    running = [site for site in sites if site.calls]
    row.ran, row.replaceable = len(running), sum(site.replaceable for site in running)
    row.reasons.update(_short(site) for site in sites if site.reason)
    accounts = reconciled(model, sites, dispatched(model, one.inputs))
    row.operators, row.explained, row.faults = accounts.heard, accounts.explained, list(accounts.strangers)
    if one.unsupported:
        row.unsupported = one.unsupported
    else:
        _swap(row, one, model)
    return row


def stirred(model: nn.Module) -> nn.Module:
    """Draw weights large enough for the activations to affect the output, which they hardly do at some models' init."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            drawn = torch.randn(weight.shape, generator=generator)
            scale = (weight[0].numel() or 1) ** -0.5 if weight.ndim > 1 else 0.5
            weight.copy_(drawn * scale if weight.ndim > 1 else weight.clamp(-1, 1) + scale * drawn)
    return model


def _short(site: Site) -> str:
    reason = str(site.reason)
    for start, words in {
        "it runs in": "it runs in a function outside the model's classes" if "no plain method" in reason else "",
        f"{site.name} mixes": "softmax mixes the elements of its input; no elementwise function can replace it",
    }.items():
        if reason.startswith(start) and words:
            return words
    return reason.replace(f"runs in a {_class(reason)} that", "runs in a module that")


def _class(reason: str) -> str:
    return reason.partition("it runs in a ")[2].partition(" that")[0]


def _swap(row: Row, one: Architecture, model: nn.Module) -> None:
    before, saved = called(model, one.inputs), {key: value.clone() for key, value in model.state_dict().items()}
    twin = one.build(zoo.NEW).eval()
    twin.load_state_dict(saved)
    changes = actlab.swap_(model, dict.fromkeys(one.old, zoo.NEW), one.inputs)
    row.swapped = len(changes)
    row.faults += [f"{change.path} did not run" for change in changes if change.idle]
    row.faults += [f"{skip.site.path} was skipped: {skip.reason}" for skip in changes.skipped]
    row.difference = _difference(called(model, one.inputs), called(twin, one.inputs))
    model.load_state_dict(saved)
    one.build(None).load_state_dict(model.state_dict())
    row.loads = True
    changes.undo()
    row.undone = _identical(before, called(model, one.inputs))
    if not row.difference <= TOLERANCE:
        row.faults.append(f"after the swap, {row.difference:.1e} from the model built with {zoo.NEW}")
    if _difference(before, called(twin, one.inputs)) <= TOLERANCE:
        row.faults.append(
            f"the model built with {zoo.NEW} computes the same as the other, so that the comparison is void"
        )
    if not row.undone:
        row.faults.append("undo does not restore the old output")


def _tensors(output: Any) -> list[Tensor]:
    values = list(output.values()) if isinstance(output, Mapping) else output
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor) and leaf.is_floating_point()]


def _difference(a: Any, b: Any) -> float:
    pairs = list(zip(_tensors(a), _tensors(b), strict=True))
    return max(float((x - y).abs().amax()) / max(float(y.abs().amax()), 1e-12) for x, y in pairs)


def _identical(a: Any, b: Any) -> bool:
    return all(torch.equal(x, y) for x, y in zip(_tensors(a), _tensors(b), strict=True))


# ------------------------------------------------------------------------------------------------ output


def attempted(one: Architecture) -> Row:
    """Examine an architecture; an exception becomes a fault in its row."""
    try:
        return examined(one)
    except Exception as error:  # a model that cannot be built or swapped is one row, and the table goes on
        return Row(name=one.name, source=one.source, faults=[f"{type(error).__name__}: {error}"])


def _line(row: Row) -> str:
    held = "to the bit" if row.difference == 0 else f"{row.difference:.0e}"
    answer = {True: "yes", False: "no"}
    cells = (row.name, row.source, row.ran, row.replaceable, f"{row.explained} of {row.operators}")
    swap = (
        (row.swapped, held, answer[row.loads], answer[row.undone])
        if not row.unsupported
        else ("unsupported", "", "", "")
    )
    return "| " + " | ".join(map(str, (*cells, *swap))) + " |"


HEAD = """| architecture | source | ran | replaceable | explained | swapped | equals | loads | undone |
|---|---|---|---|---|---|---|---|---|"""


def page(rows: list[Row]) -> str:
    """Return the page: the table, sites that are not replaced with reasons, and faults."""
    good = [row for row in rows if not row.faults and not row.unsupported]
    reasons: Counter[str] = sum((row.reasons for row in rows), Counter())
    where = {words: [row.name for row in rows if words in row.reasons] for words in reasons}
    lines = [
        HEAD,
        *map(_line, rows),
        "",
        f"{len(good)} of {len(rows)} architectures without a fault; {sum(bool(row.unsupported) for row in rows)} unsupported.",
        "",
    ]
    lines += ["## Sites that are not replaced", "", "| sites | reason | examples |", "|---|---|---|"]
    lines += [f"| {n} | {words} | {', '.join(where[words][:4])} |" for words, n in reasons.most_common()]
    lines += ["", *(f"- {row.name} is not swapped: {row.unsupported}." for row in rows if row.unsupported)]
    faults = [f"- {row.name}: {fault}" for row in rows for fault in row.faults]
    return "\n".join([*lines, *(["", "## Faults", "", *faults] if faults else [])])


INTRODUCTION = """# Tested architectures

Results of `find` and `swap_` on models of transformers, timm and torch:

    $ OMP_NUM_THREADS=1 python benchmarks/architectures.py --out docs/reference/architectures.md

{versions}. Small models with random weights; nothing is downloaded. The columns:

- **ran**, **replaceable**: sites that ran in a forward pass, and those of them that a swap can replace.
- **explained**: a dispatch mode below autograd, independent of ActLab, counts the ATen operators that are activations, by the module in
  which they run. Each must be accounted for by a site, as often as the site reports. What torch computes inside one operator
  (softmax in the attention kernel, sigmoid and tanh in an LSTM) is explained by a site in that module.
- **swapped**, **equals**: the model with these sites swapped to mish, against the same model built with mish by its config (`hidden_act`,
  `act_layer`) or by hand, with the same weights: "to the bit", or the largest difference over the largest output.
- **loads**: a `state_dict` from before the swap loads strictly after it, and vice versa.
- **undone**: after `changes.undo()` the output equals the old one to the bit.

"""


def main() -> int:
    """Run the comparison and print or write the table; return 1 on a fault."""
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("names", nargs="*", help="names of architectures; all if none is given")
    words.add_argument("--out", type=Path, help="write the page")
    asked = words.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    rows = []
    for one in zoo.architectures():
        if not asked.names or one.name in asked.names:
            rows.append(attempted(one))
            print(_line(rows[-1]), *(f"    {fault}" for fault in rows[-1].faults), sep="\n", flush=True)
    if asked.out:
        asked.out.write_text(INTRODUCTION.format(versions=_versions()) + page(rows) + "\n", encoding="utf-8")
    else:
        print(page(rows).partition("\n\n")[2])
    return int(any(row.faults for row in rows))


def _versions() -> str:
    found = []
    for name in ("torch", "transformers", "timm"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"no {name}")
    return ", ".join(found)


if __name__ == "__main__":
    sys.exit(main())
