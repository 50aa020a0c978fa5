"""ONNX model of one printed formula, for checks and for measurements of one activation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from actlab.codegen.onnx.node import Operand, Program
from actlab.export.onnx.settings import needed

__all__ = ["model_of"]

IR_VERSION = 10  # of opset 18 to 23 in the runtimes of 2026


def model_of(program: Program, opset: int, shapes: Sequence[Sequence[int]] | None = None) -> Any:
    """Return a model with the program's inputs and one output, ``y``.

    Args:
        program: nodes of a formula.
        opset: that it was printed for.
        shapes: of the inputs; None for any, which OpenVINO does not take.

    Returns:
        An ``onnx.ModelProto``.

    Example:
        >>> from actlab.codegen.onnx.program import program_of_spec
        >>> from actlab.functions.grammar import parse
        >>> [node.op_type for node in model_of(program_of_spec(parse("relu")), 18).graph.node]
        ['Relu', 'Identity']
    """
    onnx = needed("onnx")
    types = {"float32": onnx.TensorProto.FLOAT, "float64": onnx.TensorProto.DOUBLE}
    kind = types[program.dtype]
    constants: dict[str, Any] = {}

    def name(operand: Operand) -> str:
        if isinstance(operand, str):
            return operand
        text = f"number_{operand!r}"
        constants[text] = onnx.helper.make_tensor(text, kind, [], [operand])
        return text

    nodes = [
        onnx.helper.make_node(
            node.op,
            [name(operand) for operand in node.inputs],
            [node.output],
            **{key: types[str(value)] if key == "to" else value for key, value in node.attributes},
        )
        for node in program.nodes
    ]
    nodes.append(onnx.helper.make_node("Identity", [program.output], ["y"]))
    given = shapes if shapes is not None else [None] * len(program.inputs)
    inputs = [
        onnx.helper.make_tensor_value_info(each, kind, shape) for each, shape in zip(program.inputs, given, strict=True)
    ]
    output = onnx.helper.make_tensor_value_info("y", kind, None)
    graph = onnx.helper.make_graph(nodes, "activation", inputs, [output], list(constants.values()))
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)], ir_version=IR_VERSION)
