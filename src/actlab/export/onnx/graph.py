"""Replacement of the formula nodes of an ONNX graph by the nodes that are printed from the formulas."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from actlab.codegen.onnx.program import Program, Settings
from actlab.export.capture.formulas import DOMAIN, Formula, Formulas
from actlab.export.onnx.settings import needed
from actlab.export.report import ExportedActivation

__all__ = ["print_formulas"]

HALF = ("FLOAT16", "BFLOAT16")


def print_formulas(model: Any, formulas: Formulas, settings: Settings) -> tuple[ExportedActivation, ...]:
    """Replace the formula nodes of a model, in place, and remove what the exporter notes about source files.

    Args:
        model: an ``onnx_ir.Model``.
        formulas: the formulas, by the key of their nodes.
        settings: opset and what to prefer; the dtype is that of each node's input.

    Returns:
        The activations, in order of execution.
    """
    ir = needed("onnx_ir")
    printed = []
    constants: dict[tuple[float, str], Any] = {}
    for node in list(ir.traversal.RecursiveGraphIterator(model.graph)):
        site = _site(node)
        if node.domain == DOMAIN:
            formula = formulas[node.attributes["key"].as_string()]
            printing = replace(settings, dtype="float64" if node.inputs[0].dtype.name == "DOUBLE" else "float32")
            writer = _Writer(model, node.outputs[0].name, printing.dtype, constants)
            printed.append(_replace(writer, node, formula, printing, site))
        node.metadata_props.clear()
        for value in node.outputs:
            value.metadata_props.clear()
    model.opset_imports.pop(DOMAIN, None)
    return tuple(printed)


def _site(node: Any) -> str:
    """Return the path of the module that a node comes from."""
    names = node.metadata_props.get("pkg.torch.onnx.name_scopes", "")
    scopes = [name.strip(" '\"") for name in names.strip("[]").split(",")]
    named = [name for name in scopes[:-1] if name]  # the last one is the operator
    return named[-1] if named else "the model"


def _replace(writer: _Writer, node: Any, formula: Formula, settings: Settings, site: str) -> ExportedActivation:
    given = node.inputs[0].dtype
    program = formula.program(settings)
    inputs = [writer.cast(value) if given.name in HALF else value for value in node.inputs]
    result = writer.program(program, dict(zip(program.inputs, inputs, strict=True)))
    if given.name in HALF:
        result = writer.node("Cast", [result], {"to": given.value})
    elif not writer.nodes:
        result = writer.node("Identity", [result], {})
    convenience = needed("onnx_ir").convenience
    convenience.replace_nodes_and_values(node.graph, node, [node], writer.nodes, node.outputs, [result])
    return ExportedActivation(
        site=site,
        spec=formula.label,
        nodes=len(program.nodes),
        operators=str(program).partition(": ")[2],
        dtype=settings.dtype,
    )


class _Writer:
    """New nodes of one formula, with names that start with that of its result."""

    def __init__(self, model: Any, name: str, dtype: str, constants: dict[tuple[float, str], Any]) -> None:
        self.ir, self.model, self.name, self.dtype = needed("onnx_ir"), model, name, dtype
        self.constants = constants
        self.nodes: list[Any] = []

    def node(self, op: str, inputs: list[Any], attributes: dict[str, Any]) -> Any:
        attributes = self.ir.convenience.convert_attributes(attributes)
        node = self.ir.Node("", op, inputs, attributes, name=f"{self.name}/{op}_{len(self.nodes)}")
        node.outputs[0].name = f"{self.name}/{len(self.nodes)}"
        self.nodes.append(node)
        return node.outputs[0]

    def cast(self, value: Any) -> Any:
        return self.node("Cast", [value], {"to": self._onnx(self.dtype)})

    def program(self, program: Program, values: dict[str, Any]) -> Any:
        for node in program.nodes:
            attributes = {
                name: self._onnx(value) if name == "to" and isinstance(value, str) else value
                for name, value in node.attributes
            }
            inputs = [values[i] if isinstance(i, str) else self._constant(i) for i in node.inputs]
            values[node.output] = self.node(node.op, inputs, attributes)
        return values[program.output]

    def _onnx(self, dtype: str) -> int:
        return int(self.ir.DataType[{"float32": "FLOAT", "float64": "DOUBLE"}[dtype]].value)

    def _constant(self, number: float) -> Any:
        key = (number, self.dtype)
        if key not in self.constants:
            tensor = self.ir.tensor(np.array(number, dtype=self.dtype), name=f"number_{number!r}_{self.dtype}")
            value = self.ir.Value(name=tensor.name, const_value=tensor)
            value.dtype, value.shape = tensor.dtype, tensor.shape
            self.model.graph.register_initializer(value)
            self.constants[key] = value
        return self.constants[key]
