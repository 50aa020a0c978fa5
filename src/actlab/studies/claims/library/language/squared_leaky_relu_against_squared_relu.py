"""Square of leaky ReLU against squared ReLU in a character-level GPT."""

from actlab.studies.claims.claim import Claim, ClaimStudy, Part, Source, difference

claim = Claim(
    sentence="The square of leaky ReLU with a slope of 0.5 saves 0.003 bits per byte compared with squared ReLU.",
    source=Source(
        text="OpenAI parameter-golf, records of 2026",
        url="https://github.com/openai/parameter-golf",
    ),
    domain="language",
    about=("leaky_relu_squared", "squared_relu"),
    studies={
        "fixed": ClaimStudy(
            task="shakespeare:small",
            arms=("gelu", "squared_relu", "leaky_relu_squared"),
            seeds=8,
            most=40,
            tune="lr",
        )
    },
    parts=(
        Part(
            says="loss of squared leaky ReLU below that of squared ReLU",
            effect=difference("leaky_relu_squared", "squared_relu", larger=False, study="fixed"),
            # 0.003 bits per byte, times ln 2; each character of the text is one byte.
            smallest=0.0021,
            unit="nats per character",
        ),
    ),
    note=(
        "A GPT of 0.1 million parameters on tiny Shakespeare, with up to 40 seeds, where the records are of few runs. An effect "
        "of the claimed size needs a resolution finer than 0.0021 nats; otherwise the claim stays undecided."
    ),
)
