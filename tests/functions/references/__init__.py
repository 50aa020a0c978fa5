"""Independent definitions of the catalogue, written from the papers in mpmath; a file per family, no code shared with ActLab."""

from tests.functions.references import adaptive, basics, periodic, polynomial, self_gated

REFERENCES = {
    **adaptive.REFERENCES,
    **basics.REFERENCES,
    **periodic.REFERENCES,
    **polynomial.REFERENCES,
    **self_gated.REFERENCES,
}
