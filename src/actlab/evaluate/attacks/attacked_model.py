"""Classifier under attack, with gradients by the input alone and a count of its passes."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from actlab.errors import ActlabError
from actlab.evaluate.output_kind import OutputKind, class_logits
from actlab.evaluate.undefined_axis import UndefinedAxisError
from actlab.tasks.training.placement import placed

__all__ = ["AttackedModel", "Loss", "margins"]

#: What an attack raises: the cross-entropy of the true class; that of logits scaled to a span of 10, which no softmax saturates; or how far
#: another class is above it.
Loss: TypeAlias = Literal["cross_entropy", "scaled_cross_entropy", "margin"]
_SPAN: Final = 10.0  # of the logits of an ordinary classifier
_BATCH: Final = 256
_SMALLEST: Final = 1e-30  # probabilities of zero have no gradient; smaller numbers have none in float32 either


def margins(logits: Tensor, labels: Tensor) -> Tensor:
    """Return by how much the true class is above the best other one, shape (n,); negative where the answer is wrong or no number.

    Args:
        logits: shape (n, classes).
        labels: true classes, int64, shape (n,).

    Example:
        >>> margins(torch.tensor([[3.0, 1.0, 2.0]]), torch.tensor([0]))
        tensor([1.])
    """
    true = logits.gather(1, labels[:, None])[:, 0]
    others = logits.scatter(1, labels[:, None], -torch.inf)
    return (true - others.amax(1)).nan_to_num(-torch.inf, torch.inf, -torch.inf)


class AttackedModel:
    """A model in evaluation mode, of which an attack asks logits and gradients.

    Gradients are taken by the input alone: ``.grad`` of the parameters is neither read nor written, and no statistics move.

    Args:
        model: in evaluation mode.
        kind: what its outputs are.

    Raises:
        ActlabError: the model, or a norm in it, is in training mode, in which an attack would move statistics and meet dropout.

    Attributes:
        forward_examples: examples that the model was run on.
        backward_examples: examples for which a gradient was computed besides.

    Example:
        >>> attacked = AttackedModel(nn.Linear(2, 3).eval(), "logits")
        >>> attacked.gradients(torch.zeros(4, 2), torch.zeros(4, dtype=torch.int64), "margin")[0].shape
        torch.Size([4, 2])
    """

    def __init__(self, model: nn.Module, kind: OutputKind) -> None:
        # dropout that a model keeps on in evaluation is its own decision; statistics that move are not
        norms = (module for module in model.modules() if isinstance(module, _NormBase))
        if model.training or any(norm.training and norm.track_running_stats for norm in norms):
            raise ActlabError(
                f"An attack got a {type(model).__name__} in training mode, where it would move the statistics of norms and meet dropout. "
                "Call model.eval() first."
            )
        self.model, self.kind = model, kind
        weight = next(model.parameters(), None)
        self._is_recurrent = any(isinstance(module, nn.RNNBase) for module in model.modules())
        self._device = "cpu" if weight is None else str(weight.device)
        self.forward_examples = 0
        self.backward_examples = 0

    @torch.no_grad()
    def logits(self, x: Tensor) -> Tensor:
        """Return the logits of inputs, float64, shape (n, classes), on the CPU."""
        return torch.cat([self._logits(part).cpu() for part in torch.split(x, _BATCH)])

    def margins(self, x: Tensor, labels: Tensor) -> Tensor:
        """Return :func:`margins` of inputs, shape (n,)."""
        return margins(self.logits(x), labels)

    def gradients(self, x: Tensor, labels: Tensor, loss: Loss) -> tuple[Tensor, Tensor]:
        """Return the gradient of each example's loss by its input, shape (n, ...), and the logits there, float64, shape (n, classes).

        Where the output does not depend on the input, and where a gradient is not finite, it is zero.
        """
        parts = [
            self._gradients(a, b, loss)
            for a, b in zip(torch.split(x, _BATCH), torch.split(labels, _BATCH), strict=True)
        ]
        gradients, logits = zip(*parts, strict=True)
        return torch.cat(gradients), torch.cat(logits)

    def _gradients(self, x: Tensor, labels: Tensor, loss: Loss) -> tuple[Tensor, Tensor]:
        # cuDNN has no backward pass of recurrent layers in evaluation mode
        with torch.enable_grad(), torch.backends.cudnn.flags(enabled=not self._is_recurrent):
            leaf = x.detach().clone().requires_grad_()
            logits = self._logits(leaf * 1)  # a model may overwrite its input, which a leaf does not allow
            self.backward_examples += len(x)
            found = None
            if logits.requires_grad:
                total = _loss(logits, labels.to(logits.device), loss).sum()
                found = torch.autograd.grad(total, leaf, allow_unused=True)[0]
        gradient = torch.zeros_like(x) if found is None else found.nan_to_num(0.0, 0.0, 0.0)
        return gradient, logits.detach().cpu()

    def _logits(self, x: Tensor) -> Tensor:
        self.forward_examples += len(x)
        outputs = self.model(placed(x, self._device))
        if isinstance(outputs, Tensor) and outputs.ndim > 2 and outputs[0].numel() == outputs.shape[1]:
            outputs = outputs.flatten(1)  # images of one place
        if not isinstance(outputs, Tensor) or len(outputs) != len(x) or outputs[0].ndim > 1:
            shape = f"shape {tuple(outputs.shape)}" if isinstance(outputs, Tensor) else type(outputs).__name__
            raise UndefinedAxisError(f"an attack needs one answer for each input, and the model gives {shape}")
        if self.kind == "probabilities":
            outputs = outputs.double()
            if outputs[0].numel() == 1:
                return _binary(outputs.flatten())
            return outputs.clamp_min(_SMALLEST).log()
        rows = len(outputs) if outputs[0].numel() == 1 else outputs.shape[:1]
        return class_logits(outputs, torch.zeros(rows, dtype=torch.int64), self.kind)[0]


def _binary(probability: Tensor) -> Tensor:
    """Return the two log-probabilities; p and 1 - p are kept away from zero, where the logarithm has no gradient."""
    pair = torch.stack((1 - probability, probability), dim=1)
    return pair.clamp_min(_SMALLEST).log()


def _loss(logits: Tensor, labels: Tensor, loss: Loss) -> Tensor:
    if loss == "margin":
        return -margins(logits, labels)
    if loss == "scaled_cross_entropy":
        span = logits.detach().amax(1, keepdim=True) - logits.detach().amin(1, keepdim=True)
        logits = logits * (_SPAN / span.clamp_min(_SMALLEST))
    return torch.nn.functional.cross_entropy(logits, labels, reduction="none")
