"""Self-normalisation of deep SELU nets, with LeCun's initialization and AlphaDropout."""

from actlab.functions.analysis.edge_of_chaos import map_norm
from actlab.functions.analysis.length_map import output_moments
from actlab.studies.claims.claim import Claim, ClaimStudy, Effect, Exact, Part, Source, difference, value


def mean() -> float:
    """Return the mean of SELU's outputs for N(0, 1) inputs, from its second moment and its variance."""
    moments = output_moments("selu")
    return float(max(0.0, moments.second_moment - moments.variance) ** 0.5)


def variance() -> float:
    """Return the variance of SELU's outputs for N(0, 1) inputs."""
    return output_moments("selu").variance


def contraction() -> float:
    """Return the spectral norm of the Jacobian of the map of mean and variance at (0, 1); below 1 the point attracts."""
    return map_norm("selu")


# The domain of theorem 1 of the paper: means within 0.1 of 0, variances from 0.8 to 1.5.
_MEAN, _VARIANCE = 0.1, 0.5
# Two images in a hundred: four times what the task holds to be equal.
_ACCURACY = 0.02


def _signal(study: str, condition: str) -> tuple[Part, Part]:
    mean_of = value("selu", column="metrics.initial mean", study=study)
    variance_of = value("selu", column="metrics.initial variance", study=study, minus=1.0)
    return (
        Part(
            says="the means of 32 layers stay at 0",
            kind="tie",
            effect=mean_of,
            smallest=_MEAN,
            unit="mean activation",
            condition=condition,
        ),
        Part(
            says="the variances of 32 layers stay at 1",
            kind="tie",
            effect=variance_of,
            smallest=_VARIANCE,
            unit="variance",
            condition=condition,
        ),
    )


def _training(study: str, condition: str) -> tuple[Part, Part]:
    with_norm = difference("selu", "relu", study=study, beside="norm")
    return (
        Part(
            says="32 layers of SELU train better than 32 layers of ReLU, both without batch normalisation",
            effect=difference("selu", "relu", study=study),
            smallest=_ACCURACY,
            unit="accuracy",
            condition=condition,
        ),
        Part(
            says="32 layers of SELU without batch normalisation are not worse than 32 layers of ReLU with it, by 0.02 of accuracy",
            effect=Effect(cells=with_norm.cells, minus=-_ACCURACY),
            smallest=_ACCURACY,
            unit="accuracy above that of ReLU with batch normalisation less 0.02",
            condition=condition,
        ),
    )


claim = Claim(
    sentence="Deep SELU nets keep their activations at mean 0 and variance 1 without batch normalisation, and so they train.",
    source=Source(text="Klambauer, Unterthiner, Mayr & Hochreiter 2017, theorem 1 and figure 1", arxiv="1706.02515"),
    domain="theory",
    about=("selu", "self-normalisation", "depth", "normalisation"),
    studies={
        "lecun": ClaimStudy(
            task="deep-digits:depth-32", arms=("relu", "selu"), seeds=12, most=32, tune="lr", init="matched"
        ),
        "torch": ClaimStudy(task="deep-digits:depth-32", arms=("relu", "selu"), seeds=12, most=32, tune="lr"),
        "norm": ClaimStudy(
            task="deep-digits:batch-norm-32", arms=("relu", "selu"), seeds=12, most=32, tune="lr", init="matched"
        ),
        "alpha": ClaimStudy(
            task="deep-digits:alpha-dropout-8", arms=("relu", "selu"), seeds=12, most=32, init="matched"
        ),
        "dropout": ClaimStudy(task="deep-digits:dropout-8", arms=("relu", "selu"), seeds=12, most=32, init="matched"),
    },
    parts=(
        Part(says="the fixed point has mean 0", exact=Exact(compute=mean, claimed=0.0, tolerance=1e-3)),
        Part(says="the fixed point has variance 1", exact=Exact(compute=variance, claimed=1.0, tolerance=1e-3)),
        Part(
            says="the fixed point attracts: spectral norm 0.7877",
            exact=Exact(compute=contraction, claimed=0.7877, tolerance=1e-3),
        ),
        *_signal("lecun", "init=matched (LeCun's, as in the paper)"),
        *_training("lecun", "init=matched (LeCun's, as in the paper)"),
        *_signal("torch", "init=fixed (torch's)"),
        *_training("torch", "init=fixed (torch's)"),
        Part(
            says="after the training the variances are still at 1",
            kind="tie",
            effect=value("selu", column="metrics.variance", study="lecun", minus=1.0),
            smallest=_VARIANCE,
            unit="variance",
            judged=False,
        ),
        Part(
            says="the initialization raises the accuracy of SELU",
            effect=difference("selu", "selu", study="lecun", beside="torch"),
            smallest=_ACCURACY,
            unit="accuracy",
            judged=False,
        ),
        Part(
            says="AlphaDropout is better for SELU than dropout",
            effect=difference("selu", "selu", study="alpha", beside="dropout"),
            smallest=_ACCURACY,
            unit="accuracy",
            judged=False,
        ),
    ),
    note=(
        "Figure 1 of the paper has MNIST and CIFAR-10, nets as wide as the input, SGD at 1e-5 for 2,000 epochs. Here: scikit-learn's "
        "digits (64 inputs, 64 units a layer), SGD at a tuned rate, 20 epochs. Batch normalisation stands before the activation, with "
        "He's initialization for ReLU. Means and variances of the layers are judged before the training, as the theorem is about "
        "weights of mean 0 and variance 1/n; those after it are shown. AlphaDropout and dropout: 5 %, 8 layers, the task's own rate."
    ),
)
