"""Changed buffers, random and untranslatable operators, and exceptions as obstacles to an export."""

from __future__ import annotations

import inspect
import re
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.export import ExportedProgram
from torch.fx import Node

from actlab.export.capture.exporter_operators import exporter_operators
from actlab.export.refusal import Refusal
from actlab.nn.sites.dry_run import Arguments, no_side_effects, run

__all__ = ["changed_buffers", "in_the_graph", "no_examples", "of_an_exception", "of_node"]

UPDATES = (
    "it updates {what} in its forward pass, which an exported net cannot: the update would be lost, and every call but the first would be "
    "wrong. Pass the state as an input and return it, or update it in training mode only."
)
RANDOM = (
    "it draws random numbers, in eval mode too, so that no two runs agree. Activations of the catalogue become their mean in eval mode; "
    "give F.dropout and F.rrelu training=self.training."
)
NO_FORM = "torch's exporter has no ONNX form of this operator. Write it with others, or replace the module."
LIBRARIES = (f"{Path(torch.__file__).parent}/", f"{Path(__file__).parents[2]}/", "/contextlib.py", "<")


def changed_buffers(model: nn.Module, arguments: Arguments) -> list[Refusal]:
    """Return the modules whose buffers a pass in eval mode changes; the model is as it was afterwards.

    Raises:
        SiteError: the model raises on the arguments.
    """
    with no_side_effects(model):
        before = {name: buffer.clone() for name, buffer in model.named_buffers()}
        run(model, arguments)
        changed = [
            name
            for name, buffer in model.named_buffers()
            if name in before and not torch.equal(before[name], buffer) and not _both_nan(before[name], buffer)
        ]
    return [_of_buffer(model, name) for name in changed]


def _both_nan(a: torch.Tensor, b: torch.Tensor) -> bool:
    return a.shape == b.shape and bool(
        torch.equal(a.isnan(), b.isnan()) and torch.equal(a.nan_to_num(), b.nan_to_num())
    )


def _of_buffer(model: nn.Module, name: str) -> Refusal:
    path, _, buffer = name.rpartition(".")
    module = model.get_submodule(path)
    return Refusal(
        name=type(module).__name__,
        place=_place(path, _definition(type(module))),
        reason=UPDATES.format(what=f"the buffer {buffer!r}"),
    )


def in_the_graph(program: ExportedProgram, model: nn.Module, prefix: str = "") -> list[Refusal]:
    """Return the obstacles in a traced graph.

    Args:
        program: the graph.
        model: that it is of, for the places.
        prefix: path of the module that was traced.
    """
    signature = program.graph_signature
    found = [_of_buffer(model, f"{prefix}.{name}" if prefix else name) for name in signature.buffers_to_mutate.values()]
    found += [
        Refusal(name=f"input {name}", place=_place(prefix, ""), reason=UPDATES.format(what="its input"))
        for name in getattr(signature, "user_inputs_to_mutate", {}).values()
    ]
    for node in _calls(program.graph_module):
        operator = node.target
        if not isinstance(operator, torch._ops.OpOverload) or operator.namespace == "onnx_symbolic":
            continue
        if torch.Tag.nondeterministic_seeded in operator.tags:
            found.append(of_node(node, prefix, RANDOM))
        elif not _has_a_form(operator):
            found.append(of_node(node, prefix, NO_FORM))
    return found


def _has_a_form(operator: Any) -> bool:
    """Whether the exporter translates an operator, or leaves it out because it only asserts something."""
    is_translated = exporter_operators().is_translated
    return is_translated is None or is_translated(operator) or "assert" in operator.name() or "sym_" in operator.name()


def _calls(graph: torch.fx.GraphModule) -> Iterator[Node]:
    for module in graph.modules():
        if isinstance(module, torch.fx.GraphModule):
            yield from (node for node in module.graph.nodes if node.op == "call_function")


def of_node(node: Node, prefix: str, reason: str) -> Refusal:
    """Return the obstacle that a node of a traced graph is.

    Args:
        node: with the stacks that ``torch.export`` notes.
        prefix: path of the module that was traced.
        reason: why it cannot be exported.
    """
    operator: Any = node.meta.get("original_aten") or node.target  # as written, not what it was taken apart to
    stack = node.meta.get("nn_module_stack") or {}
    path = next(reversed(stack.values()))[0] if stack else ""
    inner = re.sub(r"^L\['self'\]\.?", "", str(path))
    return Refusal(
        name=operator.name().replace("::", "."),
        place=_place(".".join(part for part in (prefix, inner) if part), _line_of(node.meta.get("stack_trace") or "")),
        reason=reason,
    )


def _line_of(stack_trace: str) -> str:
    """Return file, line and source of the innermost frame of user code in a formatted stack."""
    frames = re.findall(r'File "([^"]+)", line (\d+), in .*\n\s*(.*)', stack_trace)
    for file, line, source in reversed(frames):
        if not file.startswith(LIBRARIES) and not file.endswith(LIBRARIES):
            return f"{_relative(file)}:{line}: {source.strip()}"
    return ""


def of_an_exception(module: nn.Module, path: str, error: Exception) -> Refusal:
    """Return the obstacle that an exception of ``torch.export`` is about.

    Args:
        module: the module that was traced.
        path: in the model.
        error: what was raised.
    """
    text = str(error).strip()
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(LIBRARIES)]
    user = [frame for frame in frames if not frame.filename.endswith(LIBRARIES[-2:])]
    line = f"{_relative(user[-1].filename)}:{user[-1].lineno}: {user[-1].line}" if user else _definition(type(module))
    if "data-dependent" in text:
        reason = (
            "its control flow depends on the values of its input, and a file holds one path only. Write it with torch.where, or with "
            "torch.cond."
        )
    elif "Constraints violated" in text or "constraint" in text.splitlines()[0].lower():
        reason = (
            f"it works for one batch size only ({_short(text)}). The first dimension of its inputs is the batch: take sizes from x.shape; "
            "an ONNX file can have a fixed one, with dynamic_batch=False."
        )
    else:
        reason = f"torch.export cannot trace it: {type(error).__name__}: {_short(text)}"
    return Refusal(name=type(module).__name__, place=_place(path, line), reason=reason)


def no_examples(model: nn.Module) -> Refusal:
    """Return the obstacle of an empty batch."""
    reason = "they are a batch without examples; give at least one."
    return Refusal(name=type(model).__name__, place="example_inputs", reason=reason)


def _short(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " ".join(lines[:2])[:300]


def _definition(cls: type) -> str:
    try:
        return f"{_relative(inspect.getsourcefile(cls) or '')}:{inspect.getsourcelines(cls)[1]}"
    except (OSError, TypeError):  # defined in a session without files
        return ""


def _relative(file: str) -> str:
    """Return a path as seen from the working directory, where it is below it."""
    path = Path(file)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else file


def _place(path: str, line: str) -> str:
    where = path or "the model"
    return f"{where} ({line})" if line else where
