"""Independent definitions of the catalogue, written from the papers in mpmath; a file per family, no code shared with ActLab."""

from importlib import import_module
from pkgutil import iter_modules

REFERENCES = {}
for _module in iter_modules(__path__):
    REFERENCES |= getattr(
        import_module(f"{__name__}.{_module.name}"), "REFERENCES", {}
    )  # vector functions have tests of their own
