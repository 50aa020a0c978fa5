"""Detection of inputs of another kind with smooth functions and ReLU, by the largest probability."""

from actlab.studies.claims.claim import Claim, ClaimStudy, Part, Source, difference

_SMOOTH = ("gelu", "silu", "mish")
_ARMS = ("relu", *_SMOOTH)
_AXES = ("calibration", "out_of_distribution")
_CLOTHES, _PIXELS = "other=digits among clothes", "other=permuted pixels among digits"
# A point of the area under the ROC curve, the digit to which papers on detection report it.
_POINT = 0.01


def _part(score: str, column: str, study: str, condition: str, *, judged: bool = True) -> Part:
    return Part(
        says=f"area under the ROC curve above that of ReLU, by the {score}",
        effect=difference(_SMOOTH, "relu", study=study, column=f"axes.out_of_distribution.{column}"),
        smallest=_POINT,
        unit="area under the ROC curve",
        condition=condition,
        judged=judged,
    )


claim = Claim(
    sentence="Nets with smooth activation functions recognise inputs of another kind better than nets with ReLU.",
    source=Source(
        text="folklore, with the argument of Hein et al. 2019 that ReLU nets are confident far from the data",
        arxiv="1812.05720",
    ),
    domain="vision",
    about=("relu", "gelu", "silu", "mish", "out-of-distribution detection"),
    studies={
        "fashion": ClaimStudy(task="fashion-mnist:depth-4", arms=_ARMS, seeds=12, most=36, tune="lr", evaluate=_AXES),
        "digits": ClaimStudy(task="digits:cnn", arms=_ARMS, seeds=24, most=80, tune="lr", evaluate=_AXES),
    },
    parts=(
        _part("largest probability", "auroc_softmax", "fashion", _CLOTHES),
        _part("largest probability", "auroc_softmax", "digits", _PIXELS),
        _part("energy of the logits", "auroc_energy", "fashion", _CLOTHES, judged=False),
        _part("energy of the logits", "auroc_energy", "digits", _PIXELS, judged=False),
    ),
    note=(
        "Two kinds of other inputs: scikit-learn's handwritten digits for a net of Fashion-MNIST, and test images whose pixels "
        "are drawn from other images for a net of digits. The argument is about confidence, so the largest probability is "
        "judged; the energy (arXiv:2010.03759) is shown beside. The mean of three smooth functions stands for the kind; "
        "learning rates are tuned."
    ),
)
