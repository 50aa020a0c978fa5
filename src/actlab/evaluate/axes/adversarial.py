"""Axis of adversarial robustness, with attacks that need no gradient and a check for masked ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

import torch
from torch import Tensor, nn

from actlab.evaluate.attacks.attack_settings import AttackSettings
from actlab.evaluate.attacks.attacked_model import AttackedModel
from actlab.evaluate.attacks.ball import NORMS, Ball, Norm
from actlab.evaluate.attacks.gradient_attack import Attacked, fgsm, pgd
from actlab.evaluate.attacks.masking import Masking
from actlab.evaluate.attacks.perturbation_ball import perturbation_ball, unit_of
from actlab.evaluate.attacks.random_search import random_search
from actlab.evaluate.attacks.resistance import Resistance
from actlab.evaluate.attacks.smoothed_gradients import Smoothing, smoothed_gradients
from actlab.evaluate.axis import Axis, Column, Measured
from actlab.evaluate.evaluation_data import EvaluationData
from actlab.evaluate.undefined_axis import UndefinedAxisError

__all__ = ["ADVERSARIAL", "AttackSettings", "adversarial_axis"]

_ALONG: Final = (0.25, 0.5, 0.75, 1.0)  # places along the gradient
_CURVE_STEPS: Final = 10
_RANDOM: Final = (
    "The model is random in evaluation mode: an example counts as broken once it was answered wrong, so that more attacks break more "
    "of them whatever they do."
)
_ONE_CLASS: Final = (
    "All examples that the model classifies correctly are of one class: a constant answer is robust, and of no use. The accuracies under "
    "attack say little."
)
_AGREE: Final = 0.02  # share of examples that rounding may label differently in another batch


@dataclass(kw_only=True, eq=False)
class _Campaign:
    """Attacks on one model.

    Attributes:
        attacked: the model.
        ball: L-inf, around the attacked examples.
        labels: their classes, shape (n,).
        correct: whether their clean inputs are classified correctly, shape (n,).
        data: of the task.
        settings: how far and how hard.
        is_random: whether the model answers the same inputs in two ways.
        smoothing: what was smoothed in the model for attacks by smoothed gradients.
    """

    attacked: AttackedModel
    ball: Ball
    labels: Tensor
    correct: Tensor
    data: EvaluationData
    settings: AttackSettings
    is_random: bool = False
    smoothing: Smoothing = field(default_factory=Smoothing)

    def of_all(self, found: Tensor) -> float:
        """Return the share of the attacked examples."""
        return int((found & self.correct).sum()) / len(self.correct)

    def of_correct(self, found: Tensor) -> float:
        """Return the share of the examples that are classified correctly."""
        return int((found & self.correct).sum()) / int(self.correct.sum())

    def generator(self, purpose: str) -> torch.Generator:
        return self.data.generator(f"attack {purpose}")


def _adversarial(model: nn.Module, data: EvaluationData, *, settings: AttackSettings) -> Measured:
    campaign = _begun(model, data, settings)
    attacked, ball, labels = campaign.attacked, campaign.ball, campaign.labels
    gradient, _ = attacked.gradients(ball.centre, labels, "cross_entropy")
    one_step = fgsm(attacked, ball, labels, gradient=gradient)
    alone, found = _resistance(campaign, "linf"), {norm: _resistance(campaign, norm) for norm in NORMS}
    alone.attack("fgsm", partial(_found_before, one_step, alone))
    for norm in NORMS:
        _attack_by_pgd(campaign, found[norm], norm)
    linf = found["linf"]
    numbers = {"fgsm": alone.resisting}
    numbers |= {f"pgd_{norm}": found[norm].resisting.clone() for norm in NORMS}
    unbounded = _unbounded(campaign, linf.resisting)
    linf.attack("fgsm", partial(_found_before, one_step, linf))
    along, flat = _along_gradient(campaign, one_step)
    masking = Masking(
        examples=len(labels),
        correct=int(campaign.correct.sum()),
        single_step=campaign.of_all(numbers["pgd_linf"] & ~alone.resisting),
        zero_gradients=campaign.of_correct((gradient.flatten(1) == 0).all(1)),
        unbounded=unbounded,
        flat=flat,
        is_random=campaign.is_random,
        is_constant=_knows_one_class(data),
    )
    masking = _attack_otherwise(campaign, found, masking)
    return Measured(
        numbers={
            **{name: left.double() for name, left in numbers.items()},
            **{norm: found[norm].resisting.double() for norm in NORMS},
            "masked": masking.hidden,
        },
        curves={"linf": _curve(campaign, linf, masking), "along_gradient": along},
        notes=tuple(_notes(campaign, masking)),
        record=_record(campaign, found, masking),
    )


def _notes(campaign: _Campaign, masking: Masking) -> Iterator[str]:
    if masking.is_masked:
        yield masking.note()
    if campaign.is_random:
        yield _RANDOM
    if len(set(campaign.labels[campaign.correct].tolist())) < 2:
        yield _ONE_CLASS


def _found_before(found: Attacked, resistance: Resistance, _ball: Ball, _labels: Tensor) -> Attacked:
    """Return what an attack of all examples found for those that still resist."""
    return Attacked(found.inputs[resistance.resisting], found.margins[resistance.resisting])


def _begun(model: nn.Module, data: EvaluationData, settings: AttackSettings) -> _Campaign:
    """Return the campaign, with the examples that are classified correctly; refuse what cannot be attacked."""
    if data.output_kind == "values":
        raise UndefinedAxisError("the model gives values and no classes")
    entries = data.inputs[0].numel()
    rows = data.some(settings.examples(entries), "attacked examples")
    ball = perturbation_ball(data, rows, settings.radius(data.input_kind))
    if len(data.labels) != len(data.inputs):
        raise UndefinedAxisError("an attack needs one class for each input, and the targets are others")
    attacked, labels = AttackedModel(model, data.output_kind), data.labels[rows]
    answers = attacked.logits(ball.centre).argmax(1)
    is_random = not torch.equal(answers, attacked.logits(ball.centre).argmax(1))
    if not is_random and int((answers != data.predicted[rows]).sum()) > max(1, _AGREE * len(rows)):
        raise UndefinedAxisError(
            "the model does not give on these inputs what its metric was computed from: the task's predict does more than call the model"
        )
    correct = (answers == labels) & (data.predicted[rows] == labels)
    if not bool(correct.any()):
        raise UndefinedAxisError(
            "the model classifies none of the examples correctly, so that there is nothing to attack"
        )
    campaign = _Campaign(attacked=attacked, ball=ball, labels=labels, correct=correct, data=data, settings=settings)
    return replace(campaign, is_random=is_random)


def _resistance(campaign: _Campaign, norm: Norm) -> Resistance:
    settings, kind = campaign.settings, campaign.data.input_kind
    entries = campaign.ball.centre[0].numel()
    radius = settings.radius(kind) if norm == "linf" else settings.radius_l2(kind, entries)
    return Resistance(campaign.attacked, campaign.ball.of(radius, norm), campaign.labels, campaign.correct)


def _attack_by_pgd(campaign: _Campaign, resistance: Resistance, norm: Norm) -> None:
    settings = campaign.settings
    for restart in range(settings.restarts):
        made = campaign.generator(f"pgd {norm} {restart}") if restart else None
        run = partial(pgd, campaign.attacked, steps=settings.steps, reach=settings.reach, generator=made)
        resistance.attack("pgd", run)


def _attack_otherwise(campaign: _Campaign, found: Mapping[Norm, Resistance], masking: Masking) -> Masking:
    """Attack by the margin, by smoothed gradients and without gradients; return the signs with what these found."""
    settings, attacked, is_image = campaign.settings, campaign.attacked, campaign.data.input_kind == "image"
    options: dict[str, Any] = {"steps": settings.steps, "reach": settings.reach, "loss": "margin"}
    before = _resisting(found)
    for norm in NORMS:
        made = campaign.generator(f"margin {norm}")
        found[norm].attack("margin", partial(pgd, attacked, generator=made, **options))
        if masking.is_masked:  # the cross-entropy may only have been saturated
            scaled = {**options, "loss": "scaled_cross_entropy"}
            found[norm].attack("scaled cross-entropy", partial(pgd, attacked, **scaled))
    if not masking.vanishes:  # then another loss is no other gradient, only a better aim
        before = _resisting(found)
    for norm in NORMS:
        found[norm].attack("smoothed gradients", partial(_by_smoothed_gradients, campaign, options))
    masking = replace(masking, hidden=_hidden(campaign, before, found))
    queries = settings.queries * (3 if masking.is_masked else 1)
    for norm in NORMS:
        made = campaign.generator(f"random search {norm}")
        search = partial(random_search, attacked, queries=queries, is_image=is_image, generator=made)
        found[norm].attack("random search", search)
    return replace(masking, hidden=_hidden(campaign, before, found))


def _resisting(found: Mapping[Norm, Resistance]) -> dict[Norm, Tensor]:
    return {norm: found[norm].resisting.clone() for norm in NORMS}


def _hidden(campaign: _Campaign, before: Mapping[Norm, Tensor], found: Mapping[Norm, Resistance]) -> float:
    return max(campaign.of_all(before[norm] & ~found[norm].resisting) for norm in NORMS)


def _by_smoothed_gradients(campaign: _Campaign, options: Mapping[str, Any], ball: Ball, labels: Tensor) -> Attacked:
    """Attack a model whose activations have smoothed gradients; what it finds is tried on the model as it is."""
    attacked = campaign.attacked
    gives_probabilities = attacked.kind in {"probabilities", "log_probabilities"}
    with smoothed_gradients(attacked.model, campaign.ball.centre, drop_outputs=gives_probabilities) as smoothing:
        campaign.smoothing = smoothing
        twin = AttackedModel(attacked.model, "logits" if smoothing.outputs else attacked.kind)
        try:
            found = pgd(twin, ball, labels, **options)
        except (RuntimeError, TypeError, ValueError) as error:  # code of the model that no smoothed function fits into
            campaign.smoothing = replace(smoothing, sites=(), skipped=(*smoothing.skipped, ("", str(error))))
            found = Attacked(ball.centre, torch.full((len(labels),), torch.inf, dtype=torch.float64))
    attacked.forward_examples += twin.forward_examples
    attacked.backward_examples += twin.backward_examples
    return found


def _unbounded(campaign: _Campaign, resisting: Tensor) -> float:
    """Return the share that resists PGD in a ball that holds every input; none where the model knows one class only."""
    if _knows_one_class(campaign.data):
        return 0.0
    ball, settings = campaign.ball, campaign.settings
    reach = (ball.high - ball.low) / ball.scale
    radius = float(torch.where(reach.isfinite(), reach, torch.zeros_like(reach)).max())
    rows = resisting.nonzero()[:, 0]
    if not len(rows):
        return 0.0
    found = pgd(
        campaign.attacked, ball.of(radius).take(rows), campaign.labels[rows], steps=settings.steps, reach=settings.reach
    )
    return int((~found.broken).sum()) / int(campaign.correct.sum())


def _knows_one_class(data: EvaluationData) -> bool:
    return len(set(data.predicted.tolist())) < 2


def _along_gradient(campaign: _Campaign, one_step: Attacked) -> tuple[dict[str, Any], float]:
    """Return the mean margin on the way to the input of one step, and the share of examples whose margin does not fall."""
    rows = campaign.correct.nonzero()[:, 0]
    clean, end, labels = campaign.ball.centre[rows], one_step.inputs[rows], campaign.labels[rows]
    found = [campaign.attacked.margins(clean, labels)]
    found += [campaign.attacked.margins(torch.lerp(clean, end, share), labels) for share in _ALONG[:-1]]
    found.append(one_step.margins[rows])
    flat = torch.stack(found[1:]).amin(0) >= found[0]
    means = [float(margin.nan_to_num(0.0, 0.0, 0.0).mean()) for margin in found]
    eps = campaign.ball.radius
    curve = {"x": [0.0, *(share * eps for share in _ALONG)], "y": means, "x_label": "eps", "y_label": "mean margin"}
    return curve, int(flat.sum()) / len(rows)


def _curve(campaign: _Campaign, linf: Resistance, masking: Masking) -> dict[str, Any]:
    """Return the accuracy over eps in L-inf; what is broken at one radius is broken at all larger ones."""
    eps, n = linf.ball.radius, len(campaign.correct)
    points = {0.0: int(campaign.correct.sum()) / n, eps: int(linf.resisting.sum()) / n}
    for smaller in (True, False):
        left = campaign.correct & ~linf.resisting if smaller else linf.resisting.clone()
        always = int(linf.resisting.sum()) if smaller else 0
        for multiple in sorted(m for m in campaign.settings.multiples if (m < 1) == smaller and m != 1):
            resistance = Resistance(campaign.attacked, linf.ball.of(multiple * eps), campaign.labels, left)
            _attack_briefly(campaign, resistance, is_masked=masking.is_masked)
            left = resistance.resisting
            points[multiple * eps] = (int(left.sum()) + always) / n
    places = sorted(points)
    unit = unit_of(campaign.data.input_kind)
    return {
        "x": places,
        "y": [points[place] for place in places],
        "x_label": f"eps in L-inf ({unit})",
        "y_label": "accuracy",
    }


def _attack_briefly(campaign: _Campaign, resistance: Resistance, *, is_masked: bool) -> None:
    options: dict[str, Any] = {"steps": _CURVE_STEPS, "reach": campaign.settings.reach, "loss": "margin"}
    resistance.attack("margin", partial(pgd, campaign.attacked, **options))
    if is_masked:
        resistance.attack("smoothed gradients", partial(_by_smoothed_gradients, campaign, options))


def _record(campaign: _Campaign, found: Mapping[Norm, Resistance], masking: Masking) -> dict[str, Any]:
    smoothing = campaign.smoothing
    return {
        "examples": len(campaign.correct),
        "accuracy": float(campaign.correct.double().mean()),
        "eps": {norm: resistance.ball.radius for norm, resistance in found.items()},
        "unit": unit_of(campaign.data.input_kind),
        "broken_by": {norm: dict(resistance.broken_by) for norm, resistance in found.items()},
        "refused": sum(resistance.refused for resistance in found.values()),
        "masking": {**vars(masking), "signs": list(masking.signs)},
        "smoothed": {"sites": list(smoothing.sites), "skipped": [list(pair) for pair in smoothing.skipped]},
        "forward_examples": campaign.attacked.forward_examples,
        "backward_examples": campaign.attacked.backward_examples,
    }


def adversarial_axis(settings: AttackSettings | None = None, *, name: str = "adversarial") -> Axis:
    """Return the axis with settings of one's own, for ``evaluate=[adversarial_axis(AttackSettings(eps=0.1))]``.

    Args:
        settings: how far and how hard a model is attacked; None for the defaults.
        name: of the axis; one of its own where a file defines it, or where the built-in one is measured as well.

    Example:
        >>> adversarial_axis(AttackSettings(eps=0.1)).name
        'adversarial'
    """
    own = settings or AttackSettings()
    strongest = "accuracy under the strongest attack found in {}, those without gradients included"
    alone = "accuracy under {} alone, which masked gradients inflate"
    return Axis(
        name=name,
        measure=partial(_adversarial, settings=own),
        columns={
            "linf": Column(direction="max", unit="share", description=strongest.format("L-inf")),
            "l2": Column(direction="max", unit="share", description=strongest.format("L2")),
            "fgsm": Column(direction="max", unit="share", headline=False, description=alone.format("FGSM in L-inf")),
            "pgd_linf": Column(direction="max", unit="share", headline=False, description=alone.format("PGD in L-inf")),
            "pgd_l2": Column(direction="max", unit="share", headline=False, description=alone.format("PGD in L2")),
            "masked": Column(
                direction=None,
                unit="share",
                description="examples that fall only to attacks which do not follow the model's own gradient",
            ),
        },
        description="Accuracy under attack: small changes of the inputs that are made to change the answer.",
        source=f"{name} {own}",
    )


ADVERSARIAL = adversarial_axis()
