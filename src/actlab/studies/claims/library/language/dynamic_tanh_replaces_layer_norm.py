"""Dynamic tanh in the place of layer norms in a small transformer, with two optimizers."""

from actlab.studies.claims.claim import Claim, ClaimStudy, Part, Source, difference

_DYNAMIC_TANH = "*norm.function=dynamic_tanh(weight=1, bias=0)"
_DERF = "*norm.function=derf(weight=1, bias=0)"
_NOTHING = "*norm.function=identity"
# The source reports equal losses of LLaMA to the second decimal or better; 1 % of the loss of this task, 2.1 nats, counts as a difference.
_SMALLEST = 0.02

claim = Claim(
    sentence="Dynamic tanh takes the place of layer norms in a transformer without a loss of quality, whatever the optimizer.",
    source=Source(text="Zhu et al. 2025, Transformers without normalization", arxiv="2503.10622"),
    domain="language",
    about=("dynamic_tanh", "normalisation"),
    studies={
        "norms_adamw": ClaimStudy(
            task="shakespeare:small",
            arms=("gelu", "squared_relu", "leaky_relu_squared"),
            seeds=8,
            most=20,
            tune="lr",
        ),
        "free_adamw": ClaimStudy(
            task="shakespeare:norm-free", arms=(_DYNAMIC_TANH, _DERF, _NOTHING), seeds=8, most=20, tune="lr"
        ),
        "norms_sgd": ClaimStudy(task="shakespeare:small-sgd", arms=("gelu", "relu"), seeds=8, most=20, tune="lr"),
        "free_sgd": ClaimStudy(
            task="shakespeare:norm-free-sgd", arms=(_DYNAMIC_TANH, _DERF), seeds=8, most=20, tune="lr"
        ),
    },
    parts=(
        Part(
            says="equal loss with dynamic tanh and with layer norms, AdamW",
            effect=difference(_DYNAMIC_TANH, "gelu", larger=False, study="free_adamw", beside="norms_adamw"),
            kind="tie",
            smallest=_SMALLEST,
            unit="nats per character",
            condition="optimizer=adamw",
        ),
        Part(
            says="equal loss with dynamic tanh and with layer norms, SGD with momentum",
            effect=difference(_DYNAMIC_TANH, "gelu", larger=False, study="free_sgd", beside="norms_sgd"),
            kind="tie",
            smallest=_SMALLEST,
            unit="nats per character",
            condition="optimizer=sgd-momentum",
        ),
        Part(
            says="control: loss with dynamic tanh below that without any function in the place of the norms, AdamW",
            effect=difference(_DYNAMIC_TANH, _NOTHING, larger=False, study="free_adamw"),
            smallest=_SMALLEST,
            unit="nats per character",
            judged=False,
        ),
    ),
    note=(
        "Both nets have GELU, the same seeds and the same initial matrices; the one without norms multiplies its embedding by a "
        "learned number as the source's language models do, and learns a factor and an offset for each channel as layer norm "
        "does. Learning rates are tuned with an equal budget. Seen before the registration: one training of each net at the "
        "task's own rate, to see that it learns (AdamW 2.11 with norms, 2.21 with dynamic tanh; SGD 2.22 and 2.42)."
    ),
)
