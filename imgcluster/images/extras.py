"""Formats that are read with the packages of an extra, and what of it is installed."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from typing import NamedTuple

from imgcluster.utils import installed

FORMATS = "formats"  # the extra of imgcluster that installs these packages
RAW = "raw image"  # of any camera, with the beginning of a TIFF
RAWS = (
    *("Canon raw image", "Fujifilm raw image", "Olympus raw image", "Panasonic raw image"),
    *("Minolta raw image", "Sigma raw image", RAW),
)


class Extra(NamedTuple):
    """Formats of one decoder.

    kinds: as `kind_of` names them. endings: of their files. modules: any of them reads them; the first is what the
    extra installs. also: further packages that decode some of them.
    """

    kinds: tuple[str, ...]
    endings: tuple[str, ...]
    modules: tuple[str, ...]
    also: tuple[str, ...] = ()

    @property
    def module(self) -> str | None:
        """The first of the modules that is installed; None: none is."""
        return next((module for module in self.modules if find_spec(module) is not None), None)

    @property
    def packages(self) -> list[str]:
        """The names of the packages that decode them here; none where nothing is installed."""
        return [module.replace("_", "-") for module in (self.module, *self.also) if module and find_spec(module)]


EXTRAS = (
    Extra(("HEIC",), (".heic", ".heif", ".hif", ".heics", ".heifs"), ("pi_heif", "pillow_heif")),
    Extra(
        RAWS,
        (
            *(".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".fff", ".iiq", ".kdc", ".mef", ".mos"),
            *(".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f"),
        ),
        ("rawpy",),
    ),
    Extra(("JPEG XL",), (".jxl",), ("imagecodecs",)),
    Extra(("DICOM",), (".dcm", ".dicom", ".dic"), ("pydicom",), also=("imagecodecs",)),
)
_BY_ENDING = {ending: extra for extra in EXTRAS for ending in extra.endings}
_BY_KIND = {kind: extra for extra in EXTRAS for kind in extra.kinds}
ENDINGS = frozenset(_BY_ENDING)


def extra_of(name: str) -> Extra | None:
    """Return the extra that reads files of an ending (".heic") or a kind ("HEIC"); None where none is needed."""
    return _BY_ENDING.get(name) or _BY_KIND.get(name)


def decoder_of(name: str) -> str:
    """Return the packages that decode files of an ending or a kind, with versions; "" where no extra is needed.

    What they make of a file may change from version to version, and only such files have to be read again then.
    """
    extra = extra_of(name)
    return "" if extra is None else _decoder(extra)


def decoders_by_ending() -> dict[str, str]:
    """Return `decoder_of` all endings that need an extra."""
    return {ending: decoder_of(ending) for ending in sorted(ENDINGS)}


@cache
def _decoder(extra: Extra) -> str:
    modules = [module for module in (extra.module, *extra.also) if module]
    return " ".join(f"{module} {installed(module)}" for module in modules)
