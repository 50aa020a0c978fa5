"""Independent definitions of the catalogue, written from the papers in mpmath; a file per family, no code shared with ActLab."""

from tests.functions.references import (
    basics,
    exponential,
    rectified,
    shrinkage,
    sigmoidal,
)

REFERENCES = {
    **basics.REFERENCES,
    **exponential.REFERENCES,
    **rectified.REFERENCES,
    **shrinkage.REFERENCES,
    **sigmoidal.REFERENCES,
}
