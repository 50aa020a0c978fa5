"""Accuracy under Gaussian noise of nets with binary activations and decoupled gradients, against ReLU."""

from actlab.studies.claims.claim import Claim, ClaimStudy, Part, Source, difference

_BINARY = ("step/rect", "sign/clipped")
_ARMS = ("relu", *_BINARY)
# Two points of accuracy, a tenth of what noise costs the nets with ReLU (kept 0.75).
_POINTS = 0.02


def _parts(study: str, condition: str) -> tuple[Part, Part]:
    return (
        Part(
            says="share of the accuracy that is kept under noise above that of ReLU",
            effect=difference(_BINARY, "relu", study=study, column="metrics.kept"),
            smallest=_POINTS,
            unit="share of the accuracy",
            condition=condition,
        ),
        Part(
            says="accuracy under noise above that of ReLU",
            effect=difference(_BINARY, "relu", study=study, column="metrics.noisy accuracy"),
            smallest=_POINTS,
            unit="accuracy",
            condition=condition,
        ),
    )


claim = Claim(
    sentence="Nets with binary activations resist noise in their inputs better than nets with ReLU.",
    source=Source(
        text="folklore; of attacks Panda et al. 2019: binary nets are intrinsically more robust than those of full precision",
        arxiv="1902.03151",
    ),
    domain="vision",
    about=("step", "sign", "relu", "binary activations", "noise", "gradient rules"),
    studies={
        "mlp": ClaimStudy(task="digits:noise", arms=_ARMS, seeds=20, most=60, tune="lr"),
        "cnn": ClaimStudy(task="digits:cnn-noise", arms=_ARMS, seeds=20, most=60, tune="lr"),
    },
    parts=(*_parts("mlp", "net=MLP"), *_parts("cnn", "net=CNN")),
    note=(
        "Binary activations with weights of full precision, trained with a window in the place of the derivative. Gaussian "
        "noise of 0.5, 1 and 1.5 standard deviations of the inputs, on test images only; learning rates are tuned on images "
        "without noise. Both are asked for: that a larger share of the accuracy is kept, and that more is left, as a net that "
        "is less accurate without noise has less to lose."
    ),
)
