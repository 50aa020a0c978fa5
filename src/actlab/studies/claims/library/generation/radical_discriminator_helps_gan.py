"""GANs whose discriminator has binary activations, against ReLU and leaky ReLU."""

from actlab.studies.claims.claim import Claim, ClaimStudy, Part, Source, difference

_STEP, _LEAKY, _RELU = "discriminator.*=step/rect", "discriminator.*=leaky_relu(0.2)", "discriminator.*=relu"
# A factor of 1.2 of the distance, in decades: what papers on GANs call an improvement is a fifth and more.
_FIFTH = 0.08

claim = Claim(
    sentence="A discriminator with radical activations, binary ones with a gradient of their own, helps a GAN.",
    source=Source(text="folklore of decoupled gradients, after Troiano et al. 2025", arxiv="2509.07236"),
    domain="generation",
    about=("step", "leaky_relu", "relu", "gradient rules", "GAN"),
    studies={"main": ClaimStudy(task="gan:short", arms=(_LEAKY, _RELU, _STEP), seeds=10, most=50)},
    parts=(
        Part(
            says="Frechet distance below that of a discriminator with leaky ReLU",
            effect=difference(_STEP, _LEAKY, larger=False, scale="log10"),
            smallest=_FIFTH,
            unit="decades",
        ),
        Part(
            says="Frechet distance below that of a discriminator with ReLU",
            effect=difference(_STEP, _RELU, larger=False, scale="log10"),
            smallest=_FIFTH,
            unit="decades",
        ),
    ),
    note=(
        "A step with a window as derivative in the discriminator; the generator has ReLU in all arms. Fashion-MNIST, two MLPs, "
        "626 steps, with the penalty R1; learning rates are not tuned, all arms have 1e-3. Earlier trainings of 3,130 steps on "
        "three seeds showed no difference, and that noise or the constant 1 in the place of the derivative ruins the GAN "
        "(docs/evidence/rules.md)."
    ),
)
