"""Report of an export, with the file's activations and its differences from the model."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any

from actlab.export.metric_cost import Cost
from actlab.system.display import Displayed

__all__ = [
    "BatchDifference",
    "DeviceFigures",
    "ExportReport",
    "ExportedActivation",
    "Latency",
    "LayerInstructions",
    "Memory",
    "SpecialValue",
]


@dataclass(frozen=True, kw_only=True)
class ExportedActivation:
    """An activation in the file.

    Attributes:
        site: path of the module in the model.
        spec: the function that runs there, without its gradient rule, or the name of torch's function.
        nodes: number of nodes that compute it.
        operators: these, as in "Add, Div, Exp, Neg".
        dtype: in which it is computed; float16 and bfloat16 inputs are computed in float32 and rounded once.
    """

    site: str
    spec: str
    nodes: int
    operators: str
    dtype: str


@dataclass(frozen=True, kw_only=True)
class BatchDifference:
    """How the file's outputs differ from the model's on one batch.

    Attributes:
        batch: number of examples; None where the inputs have no batch.
        traced: whether it is the batch that the model was traced with.
        largest: largest difference of any output number, absolute.
        relative: largest difference over 1 + the magnitude of the model's output.
        share: share of the numbers that differ by more than the tolerance.
    """

    batch: int | None
    traced: bool
    largest: float
    relative: float
    share: float


@dataclass(frozen=True, kw_only=True)
class SpecialValue:
    """An input at which an activation in the file gives another result than the model.

    Attributes:
        spec: the function.
        input: NaN, an infinity, or a large number.
        model: the model's result.
        file: that of the runtime.
    """

    spec: str
    input: float
    model: float
    file: float

    def __str__(self) -> str:
        return f"{self.spec}({self.input:g}) is {self.file:g} in the file, {self.model:g} in the model"


@dataclass(frozen=True, kw_only=True)
class Latency:
    """What an activation takes in a runtime.

    Attributes:
        spec: the function.
        runtime: name of its package; "torch" for the layer before the export.
        version: of the package.
        size: number of float32 inputs.
        milliseconds: median over rounds, one thread; None where the runtime cannot run it.
        missing: why it cannot.
    """

    spec: str
    runtime: str
    version: str
    size: int
    milliseconds: float | None
    missing: str = ""


@dataclass(frozen=True, kw_only=True)
class Memory:
    """What a project takes on a device, in bytes.

    Attributes:
        constants: weights and other numbers.
        flash: code and constants, as this machine's compiler builds them; None where there is none.
        ram: static memory, without the stack and the caller's inputs and outputs.
        needed: what no plan of these layers in this order can be below.
    """

    constants: int
    flash: int | None
    ram: int
    needed: int


@dataclass(frozen=True, kw_only=True)
class LayerInstructions:
    """What a layer takes on a core.

    Attributes:
        layer: path in the model, kind and shape of the output.
        instructions: per inference.
    """

    layer: str
    instructions: int


@dataclass(frozen=True, kw_only=True)
class DeviceFigures:
    """What a project takes on an emulated core; instructions are counted and no cycles.

    Attributes:
        core: short name, as "m4f".
        name: as in "Cortex-M4F".
        missing: why nothing was measured; the figures are None then.
        compiler: name and version.
        emulator: name and version, and the board.
        note: what differs from the core itself.
        vectors: number of test vectors that ran.
        right: whether all outputs are the model's, within the tolerance of the test program.
        result: what the test program printed.
        instructions: per inference, the mean over the vectors.
        fewest: of a vector.
        most: of a vector.
        layers: instructions by layer, of a second build with a call behind each layer.
        flash: bytes of code and constants, with the compiler's arithmetic that the net calls.
        ram: bytes of static memory, without the stack and the caller's inputs and outputs.
        stack: bytes of stack, to about 50.
    """

    core: str
    name: str
    missing: str = ""
    compiler: str | None = None
    emulator: str | None = None
    note: str = ""
    vectors: int | None = None
    right: bool | None = None
    result: str | None = None
    instructions: int | None = None
    fewest: int | None = None
    most: int | None = None
    layers: tuple[LayerInstructions, ...] = ()
    flash: int | None = None
    ram: int | None = None
    stack: int | None = None


@dataclass(frozen=True, kw_only=True)
class ExportReport(Displayed):
    """What was written, and how it was checked.

    Attributes:
        path: of the file.
        target: such as "onnx".
        model: name of the model's class.
        opset: version of ONNX's operator set; None for other targets.
        runtime: name and version of the runtime, or of the compiler, that the file was checked with.
        bytes: size of the file, or of all files of a project.
        nodes: number of nodes, or of layers.
        activations: in order of execution.
        differences: one for each batch that was compared.
        special_values: where the two differ at NaN, infinities and large numbers.
        notes: what else the reader should know, such as a dtype that is computed in another.
        costs: of the export in the model's metric, where there are targets.
        latencies: of the activations in the installed runtimes, where they were asked for.
        memory: what a C project takes on a device.
        devices: what it takes on the emulated cores that were asked for.
    """

    _in_repr = ("path", "target", "model", "opset", "nodes", "largest")

    path: str
    target: str
    model: str
    opset: int | None
    runtime: str
    bytes: int
    nodes: int
    activations: tuple[ExportedActivation, ...]
    differences: tuple[BatchDifference, ...]
    special_values: tuple[SpecialValue, ...] = ()
    notes: tuple[str, ...] = ()
    costs: tuple[Cost, ...] = ()
    latencies: tuple[Latency, ...] = ()
    memory: Memory | None = None
    devices: tuple[DeviceFigures, ...] = ()

    @property
    def largest(self) -> float:
        """Largest difference of any output number on any batch."""
        return max((difference.largest for difference in self.differences), default=0.0)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain data, for JSON, in which NaN and infinities are text."""
        return {name: _plain(value) for name, value in (asdict(self) | {"largest": self.largest}).items()}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return str(value) if isinstance(value, float) and not isfinite(value) else value
