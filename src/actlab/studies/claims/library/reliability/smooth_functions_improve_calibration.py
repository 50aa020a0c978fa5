"""Calibration error of smooth functions and ReLU, on nets that end overconfident."""

from actlab.studies.claims.claim import Claim, ClaimStudy, Part, Source, difference

_SMOOTH = ("gelu", "silu", "mish")
_ARMS = ("relu", *_SMOOTH)
_AXES = ("calibration", "out_of_distribution")
# Papers on calibration report the error in percent, with one digit after the point, and call changes of a point progress.
_POINT = 0.01
# A fifth of a point: with ReLU the error of the CNN on digits is around 0.01.
_DIGITS = 0.002

claim = Claim(
    sentence="Nets with smooth activation functions are better calibrated than nets with ReLU.",
    source=Source(
        text="folklore, with the argument of Hein et al. 2019 that ReLU nets are overconfident", arxiv="1812.05720"
    ),
    domain="vision",
    about=("relu", "gelu", "silu", "mish", "calibration"),
    studies={
        "mnist1d": ClaimStudy(task="mnist1d:mlp", arms=_ARMS, seeds=12, most=40, tune="lr", evaluate=_AXES),
        "digits": ClaimStudy(task="digits:cnn", arms=_ARMS, seeds=24, most=80, tune="lr", evaluate=_AXES),
    },
    parts=(
        Part(
            says="calibration error below that of ReLU",
            effect=difference(_SMOOTH, "relu", study="mnist1d", column="axes.calibration.ece", larger=False),
            smallest=_POINT,
            unit="calibration error",
            condition="data=MNIST-1D",
        ),
        Part(
            says="calibration error below that of ReLU",
            effect=difference(_SMOOTH, "relu", study="digits", column="axes.calibration.ece", larger=False),
            smallest=_DIGITS,
            unit="calibration error",
            condition="data=digits",
        ),
        Part(
            says="calibration error below that of ReLU after temperature scaling, on MNIST-1D",
            effect=difference(_SMOOTH, "relu", study="mnist1d", column="axes.calibration.ece_scaled", larger=False),
            smallest=_POINT,
            unit="calibration error",
            judged=False,
        ),
        Part(
            says="accuracies tie, on MNIST-1D",
            kind="tie",
            effect=difference(_SMOOTH, "relu", study="mnist1d"),
            smallest=0.005,
            unit="accuracy",
            judged=False,
        ),
    ),
    note=(
        "Expected calibration error of the predicted class, 15 bins of equal mass. The nets are trained until they are "
        "overconfident (ReLU on MNIST-1D: accuracy 0.69, confidence 0.84), because a calibrated one has nothing to gain; the "
        "learning rate of every arm is tuned on accuracy. The mean of three smooth functions stands for the kind. Temperature "
        "scaling is a free remedy: what is left after it is shown beside."
    ),
)
