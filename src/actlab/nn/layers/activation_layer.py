"""Activation function as an ``nn.Module``.

Runs torch's fused implementation where there is one, code generated from the formula elsewhere; a fast layer runs a compiled kernel where
that is faster. Learned parameters are ``nn.Parameter``s, named as in the spec.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, cast, get_args

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.fx import Proxy

from actlab.codegen import complex_plane, pytorch
from actlab.codegen.dispatch.route import Route
from actlab.codegen.kernel_inputs import Half
from actlab.codegen.native_gradient import with_exact_gradient
from actlab.errors import LayerError
from actlab.functions.activation import Learned, names
from actlab.functions.spec import Spec
from actlab.nn.layers.learned_numbers import clamp_to_finite, number, unsqueeze_numbers, unsqueeze_parameters

__all__ = ["ActivationLayer", "Half", "graph_node", "is_traced"]


class ActivationLayer(nn.Module):
    """An activation function as a module. Build it with :func:`layer`.

    Attributes:
        spec: the function, with its parameters.
        gate: which half of a packed input is the gate, for gated functions.
        fast: whether it runs compiled kernels where they are faster.
    """

    supports_rules = False  # whether the class implements gradient rules

    def __init__(
        self,
        spec: Spec,
        *,
        channels: int | None = None,
        native: bool = True,
        fast: bool = False,
        gate: Half = "second",
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        if spec.backward is not None and not self.supports_rules:
            raise LayerError(
                f"{type(self).__name__} would lose the gradient rule of {spec}; build it with layer({str(spec)!r})."
            )
        self.spec = spec
        self.channels = channels
        self.native = native
        self.fast = fast
        self.gate = _check_gate(gate, spec)
        for name, value in spec.assigned:
            if isinstance(value, Learned):
                initial = self._initial(name, value)
                initial = initial.to(device, dtype or torch.get_default_dtype())
                self.register_parameter(name, nn.Parameter(clamp_to_finite(initial)))
        self._bind()

    def reset_parameters(self) -> None:
        """Set the learned parameters to their initial values, as torch does for a model created on the meta device.

        Example:
            >>> from actlab import layer
            >>> module = layer("swish(beta=learned(1.5))", device="meta").to_empty(device="cpu")
            >>> module.reset_parameters()
            >>> module.beta
            Parameter containing:
            tensor([1.5000], requires_grad=True)
        """
        with torch.no_grad():
            for name in self._learned:
                parameter = getattr(self, name)
                largest = torch.finfo(parameter.dtype).max
                parameter.fill_(min(max(self.spec.numbers[name], -largest), largest))

    def _initial(self, name: str, value: Learned) -> Tensor:
        initial = float(value.initial or 0.0)
        if value.scope == "layer":
            return number(initial)
        if self.channels is None:
            raise LayerError(
                f"{self.spec} learns one {name} per channel and needs their number: layer({str(self.spec)!r}, channels=64), "
                "or example_inputs where a model is swapped."
            )
        return torch.full((self.channels,), initial, dtype=torch.float64)

    def _bind(self) -> None:
        """Look up the functions; also after pickle and deepcopy, which do not carry generated code."""
        record = self.spec.activation
        self._learned = [name for name, value in self.spec.assigned if isinstance(value, Learned)]
        self._numbers = {name: value for name, value in self.spec.assigned if not isinstance(value, Learned)}
        self._per_channel = self.spec.needs_channels
        uses_native = self.native and self.gate == "second"
        self._fused = pytorch.native(self.spec) if uses_native else None
        self._tensor_code = record.expression is None
        if self._tensor_code:
            self._function: Any = record.tensor_code
        else:
            self._function = pytorch.function(record, tuple(self._numbers.items()))
        if self._fused is not None:
            self._fused = with_exact_gradient(self.spec, self._fused, self._plain)
        self._of_complex = complex_plane.complex_function(record, tuple(self._numbers.items()))
        is_routed = self.fast and not self._tensor_code
        self._route = (
            Route.of(self.spec.forward, self._plain, gate=self.gate, native=self._fused is not None)
            if is_routed
            else None
        )

    def set_fast(self, fast: bool = True, *, always: bool = False) -> None:
        """Switch compiled kernels on or off.

        Args:
            fast: whether they run where they are faster.
            always: whether they run at every size, for measurements.
        """
        self.fast = fast
        self._bind()
        if always and self._route is not None:
            self._route.always()

    @contextmanager
    def traced_as(self, function: Callable[..., Tensor]) -> Iterator[None]:
        """Have the layer call another function inside the block, for the export of models.

        Args:
            function: takes the inputs, a gated function's halves apart, then the learned parameters in a shape that broadcasts.
        """
        own = self._fused, self._route, self._function
        self._fused, self._route, self._function = None, None, function
        try:
            yield
        finally:
            self._fused, self._route, self._function = own

    def _apply(self, fn: Any, recurse: bool = True) -> ActivationLayer:
        """Convert or move the parameters as torch does; a learned number beyond the largest of the new dtype becomes the largest."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        for name in self._learned:
            clamp_to_finite(getattr(self, name))
        return self

    def __getstate__(self) -> dict[str, Any]:
        bound = {"_function", "_of_complex", "_fused", "_route"}
        return {key: value for key, value in self.__dict__.items() if key not in bound}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        unsqueeze_parameters(self)
        self._bind()

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *arguments: Any, **options: Any) -> None:
        unsqueeze_numbers(self._parameters, state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *arguments, **options)
        for name in self._learned:
            clamp_to_finite(getattr(self, name))

    def forward(self, x: Tensor, *others: Tensor) -> Tensor:
        """Apply the activation.

        Args:
            x: floating tensor of any shape; a complex one for functions of complex numbers and, as a choice, for holomorphic formulas.
                Gated functions take gate and value packed in the last dimension, ``(..., 2n)``, the gate in the half given by
                :attr:`gate`. Functions that mix tokens take ``(..., tokens, dim)``, as query, key and value at once.
            others: further inputs, where they are separate tensors: ``layer(gate, value)``, ``layer(query, key, value)``.

        Returns:
            Tensor of the same shape and dtype; ``(..., n)`` for gated functions; width ``layer.spec.width(size)`` for functions that
            change the width of the dimension they work along.

        Raises:
            LayerError: an integer input, a complex one for a function of real numbers or the reverse, a size that cannot be divided as
                needed, or a wrong number of channels.
        """
        is_floating = x.is_floating_point()
        if is_floating is not True:
            return self._of_another_kind(x, others, is_floating)
        learned = self._learned_values() if self._learned else []
        if self._route is not None and not others and self._route.takes(x, learned):
            self._check_packed(x)
            if learned and self._per_channel:
                self._check_channels(learned, x)
            try:
                return self._route(x, *learned) if learned else self._route(x)
            except RuntimeError:  # a layout without strides, such as sparse: torch decides whether it has the function
                if x.layout is torch.strided and not x.is_nested:
                    raise
        if self._fused is not None and not others:
            self._check_packed(x)
            if learned and self._per_channel:
                self._check_channels(learned, x)
            return self._fused(x, *(parameter.to(x.dtype) for parameter in learned)) if learned else self._fused(x)
        if forward_ad._current_level >= 0 and x.dim() == 0:  # torch's tangent of a 0-d tensor times a number is float64
            return cast("Tensor", self(x.reshape(1), *(tensor.reshape(1) for tensor in others)).reshape(()))
        inputs = self._inputs(x, others)
        if self._tensor_code:
            return self._apply_tensor_code(inputs)
        return cast("Tensor", self._function(*inputs, *(self._spread(parameter, x) for parameter in learned)))

    def _learned_values(self) -> list[Tensor]:
        """Return the learned parameters; from torch's own dictionary where they are, which its ``__getattr__`` reaches in 0.3 us each."""
        stored: dict[str, Any] = self._parameters
        return [stored[name] if name in stored else getattr(self, name) for name in self._learned]

    def _of_another_kind(self, x: Tensor, others: tuple[Tensor, ...], is_floating: Any) -> Tensor:
        """Compute on complex numbers; where torch.fx traces the model, ``is_floating`` is a node of its graph, and left out of it."""
        if not is_traced(x):
            return self._on_the_complex_plane(x, others)
        is_floating.tracer.graph.erase_node(is_floating.node)
        return cast("Tensor", graph_node(self, x, *others))

    def _on_the_complex_plane(self, x: Tensor, others: tuple[Tensor, ...]) -> Tensor:
        """Compute a function of complex numbers, or a formula that is holomorphic."""
        if not x.is_complex():
            raise LayerError(f"{self.spec} computes on floating tensors, got {x.dtype}; convert with x.float() first.")
        function, obstacle = self._of_complex
        if obstacle is not None:
            raise LayerError(
                f"{self.spec} computes on real tensors, got {x.dtype}: {obstacle}. Functions of complex numbers are "
                f"{', '.join(names('complex'))}; layer({str(self.spec)!r})(x.real) takes the real part."
            )
        if x.dtype == torch.complex32:  # computed in single precision and rounded once, as real halves are
            return self._on_the_complex_plane(x.to(torch.complex64), others).to(x.dtype)
        if self._tensor_code:
            return self._apply_tensor_code((x,))
        learned = (self._spread(getattr(self, name), x) for name in self._learned)
        return function(*self._inputs(x, others), *learned).to(x.dtype)

    def _plain(self, x: Tensor, *learned: Tensor) -> Tensor:
        """Compute the formula with generated torch code."""
        if forward_ad._current_level >= 0 and x.dim() == 0:  # see forward
            return self._plain(x.reshape(1), *learned).reshape(())
        return cast("Tensor", self._function(*self._inputs(x, ()), *(self._spread(value, x) for value in learned)))

    def _inputs(self, x: Tensor, others: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return the function's arguments: separate inputs, the halves of a packed one, or one input in all roles."""
        if not others and len(self.spec.activation.inputs) == 1:
            return (x,)
        names = [symbol.name for symbol in self.spec.activation.inputs]
        if others:
            if len(others) != len(names) - 1:
                raise LayerError(f"{self.spec} takes {', '.join(names)}; got {len(others) + 1} tensors.")
            return (x, *others)
        if self.spec.activation.kind == "gated":
            return self._halves(x)
        return (x,) * len(names)

    def _apply_tensor_code(self, inputs: tuple[Tensor, ...]) -> Tensor:
        x = inputs[0]
        if self.spec.activation.kind == "complex" and not x.is_complex():
            raise LayerError(f"{self.spec} computes on complex tensors, got {x.dtype}; x + 0j is a complex tensor.")
        dim = self._numbers.get("dim", -1)
        if not -max(x.dim(), 1) <= dim < max(x.dim(), 1):
            raise LayerError(f"{self.spec} works along dimension {dim}, got an input of shape {tuple(x.shape)}.")
        if x.dtype in pytorch.HALF:  # computed in float32 and rounded once, as formulas are
            inputs = tuple(tensor.float() for tensor in inputs)
        dtype = inputs[0].real.dtype
        options: dict[str, Any] = {name: self._spread(getattr(self, name), x).to(dtype) for name in self._learned}
        if self.spec.activation.kind == "stochastic":
            options["training"] = self.training
        device = "cpu" if x.device.type == "meta" else x.device.type  # autocast does not support the meta device
        with torch.autocast(device, enabled=False):
            return cast("Tensor", self._function(*inputs, **self._numbers, **options).to(x.dtype))

    def _check_packed(self, x: Tensor) -> None:
        if self.spec.activation.kind == "gated" and (x.dim() == 0 or x.shape[-1] % 2):
            raise LayerError(
                f"{self.spec} takes value and gate packed in an even last dimension, got shape {tuple(x.shape)}."
            )

    def _halves(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return gate and value."""
        self._check_packed(x)
        if self.gate == "interleaved":
            return x[..., ::2], x[..., 1::2]
        first, second = x.chunk(2, dim=-1)
        return (first, second) if self.gate == "first" else (second, first)

    def _spread(self, parameter: Tensor, x: Tensor) -> Tensor:
        """Return a parameter in a shape that broadcasts against the input: one per channel acts on dimension 1."""
        if parameter.numel() > 1:
            self._check_channels([parameter], x)
            return parameter.view(-1, *([1] * (x.dim() - 2)))
        return parameter if x.dim() else parameter.reshape(())

    def _check_channels(self, learned: Iterable[Tensor], x: Tensor) -> None:
        """Check the number of channels of parameters against the input."""
        for parameter in learned:
            channels = parameter.numel()
            if channels > 1 and (x.dim() < 2 or x.shape[1] != channels):
                raise LayerError(
                    f"{self.spec} has {channels} channels in dimension 1, got an input of shape {tuple(x.shape)}."
                )

    def extra_repr(self) -> str:
        """Return the spec's text, and the gate's half if it is not the second."""
        return str(self.spec) if self.gate == "second" else f"{self.spec}, gate={self.gate!r}"


def is_traced(x: object) -> bool:
    """Whether an input is a value of ``torch.fx``, which traces a model without running it."""
    return isinstance(x, Proxy)


def graph_node(module: nn.Module, x: Any, *others: Any) -> Any:
    """Add the call of a module to the graph that ``torch.fx`` is tracing, whole, as those of torch's own modules.

    Args:
        module: a part of the model that is traced.
        x: its input, a ``torch.fx.Proxy``.
        others: further inputs.

    Returns:
        The proxy of its output.
    """
    return x.tracer.create_proxy("call_module", x.tracer.path_of_module(module), (x, *others), {})


def _check_gate(gate: Half, spec: Spec) -> Half:
    if gate not in get_args(Half):
        allowed = ", ".join(map(repr, get_args(Half)))
        raise LayerError(f"gate is the half of a packed input that is the gate: {allowed}; got {gate!r}.")
    if gate != "second" and spec.activation.kind != "gated":
        raise LayerError(f"{spec} is no gated function and has no gate; got gate={gate!r}.")
    return gate
