"""Writers of HEIC, raw pictures, JPEG XL and DICOM for the rows of docs/formats.md."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import imagecodecs
import numpy as np
import pillow_heif
import tifffile
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

from tests.support.formats.files import by_pillow, turned

# Tags of DNG 1.7 that LibRaw asks for.
DNG = (
    (50706, "B", 4, (1, 4, 0, 0), True),
    (50708, "s", 0, "Test Camera", True),
    (271, "s", 0, "Test", True),
    (272, "s", 0, "Camera", True),
    (50721, "2i", 9, (1, 1, 0, 1, 0, 1, 0, 1, 1, 1, 0, 1, 0, 1, 0, 1, 1, 1), True),
    (50778, "H", 1, 21, True),
    (50728, "2I", 3, (1, 1, 1, 1, 1, 1), True),
)
BAYER = ((33421, "H", 2, (2, 2), True), (33422, "B", 4, (0, 1, 1, 2), True), (50717, "H", 1, 4095, True))
QUIET = {"metadata": None, "software": False}


def heic(*pictures: np.ndarray, orientation: int = 1, primary: int = 0, **options: Any) -> bytes:
    """HEIC of one picture or several; turned by `irot` and `imir`, and by its EXIF in the same way."""
    file = pillow_heif.HeifFile()
    for each in pictures:
        file.add_from_pillow(Image.fromarray(each))
    if orientation != 1:
        file[0].info["exif"] = turned(orientation).tobytes()
    return _saved(file, primary_index=primary, **options)


def deep_heic(rgb: np.ndarray, *, twelve: bool = False, **options: Any) -> bytes:
    """HEIC of 10 or 12 bits, from uint16."""
    pillow_heif.options.SAVE_HDR_TO_12_BIT = twelve
    try:
        size = rgb.shape[1], rgb.shape[0]
        return _saved(pillow_heif.from_bytes("RGB;16", size, rgb.astype(np.uint16).tobytes()), **options)
    finally:
        pillow_heif.options.SAVE_HDR_TO_12_BIT = False


def by_plugin(rgb: np.ndarray, **options: Any) -> bytes:
    """HEIC by Pillow with its plug-in; an orientation in `exif` is then that of the EXIF alone."""
    pillow_heif.register_heif_opener()
    return by_pillow("HEIF", rgb, **{"quality": -1, "chroma": 444, **options})


def _saved(file: pillow_heif.HeifFile, **options: Any) -> bytes:
    buffer = io.BytesIO()
    file.save(buffer, **{"quality": -1, "chroma": 444, **options})
    return buffer.getvalue()


def dng(rgb: np.ndarray, preview: np.ndarray | None, orientation: int = 1, **options: Any) -> bytes:
    """DNG as cameras write it: a thumbnail, the sensor's values, and a JPEG preview where there is one."""
    buffer, tags = io.BytesIO(), [*DNG, (274, "H", 1, orientation, True)]
    with tifffile.TiffWriter(buffer) as file:
        subifds = 1 if preview is None else 2
        file.write(rgb[::16, ::16], photometric="rgb", subfiletype=1, subifds=subifds, extratags=tags, **QUIET)
        file.write(_mosaic(rgb), photometric="cfa", subfiletype=0, extratags=BAYER, **QUIET)
        if preview is not None:
            jpeg = by_pillow("JPEG", preview, quality=95, subsampling="4:4:4", **options)
            if options:  # EXIF stands first, without a JFIF header, as cameras have it
                jpeg = jpeg[:2] + jpeg[20:]
            strip: Iterator[bytes] = iter([jpeg])
            shape = {"shape": preview.shape, "dtype": "uint8", "rowsperstrip": len(preview)}
            file.write(strip, photometric="ycbcr", compression="jpeg", subfiletype=1, **shape, **QUIET)
    return buffer.getvalue()


def _mosaic(rgb: np.ndarray) -> np.ndarray:
    values = rgb.astype(np.uint16) * 16
    sensor = values[..., 1].copy()
    sensor[::2, ::2], sensor[1::2, 1::2] = values[::2, ::2, 0], values[1::2, 1::2, 2]
    return sensor


def jxl(values: np.ndarray, **options: Any) -> bytes:
    return bytes(imagecodecs.jpegxl_encode(values, **{"lossless": True, **options}))


def jxl_by_ffmpeg(rgb: np.ndarray, *options: str) -> bytes:
    with TemporaryDirectory() as folder:
        source, target = Path(folder, "a.png"), Path(folder, "a.jxl")
        source.write_bytes(by_pillow("PNG", rgb))
        command = ["ffmpeg", "-loglevel", "error", "-i", source, *options, "-distance", "0", target]
        subprocess.run(command, check=True)
        return target.read_bytes()


def oriented_jxl(data: bytes, orientation: int) -> bytes:
    """A JPEG XL of 48 x 64 pixels, 8 bits, sRGB, with an orientation in its header (ISO/IEC 18181-1, D.3).

    The header: 9 bits of size; whether all is usual, and whether there are extra fields, both 0; 8 bits of depth,
    channels and colours; 3 of extensions; then 2 that fill the byte.
    """
    bits = [data[2 + place // 8] >> place % 8 & 1 for place in range(22)]
    size, usual, colours, extensions = bits[:9], bits[9:11], bits[11:19], bits[19:]
    assert usual == [0, 0]
    assert colours[-1] == 1
    turn = [orientation - 1 >> place & 1 for place in range(3)]
    header = [*size, 0, 1, *turn, 0, 0, 0, *colours, 1, *extensions, 0, 0, 0]
    packed = bytes(sum(bit << at for at, bit in enumerate(header[start : start + 8])) for start in range(0, 32, 8))
    return data[:2] + packed + data[5:]


def dicom(values: np.ndarray, kind: str = "MONOCHROME2", *, bits: int | None = None, **elements: Any) -> bytes:
    """DICOM of one frame, (height, width[, 3]), not compressed."""
    return saved(dataset(values, kind, bits=bits, **elements))


def dataset(values: np.ndarray, kind: str = "MONOCHROME2", *, bits: int | None = None, **elements: Any) -> Dataset:
    file = Dataset()
    file.file_meta = FileMetaDataset()
    file.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file.file_meta.MediaStorageSOPClassUID = file.SOPClassUID = SecondaryCaptureImageStorage
    file.file_meta.MediaStorageSOPInstanceUID = file.SOPInstanceUID = generate_uid(entropy_srcs=["imgcluster"])
    file.Modality, file.PhotometricInterpretation = "OT", kind
    file.Rows, file.Columns = values.shape[:2]
    file.SamplesPerPixel = 1 if values.ndim == 2 else values.shape[2]
    if values.ndim == 3:
        file.PlanarConfiguration = 0
    file.BitsAllocated = 8 * values.dtype.itemsize
    file.BitsStored = bits or file.BitsAllocated
    file.HighBit = file.BitsStored - 1
    file.PixelRepresentation = int(values.dtype.kind == "i")
    for name, value in elements.items():
        setattr(file, name, value)
    file.PixelData = values.tobytes()
    file["PixelData"].VR = "OW" if file.BitsAllocated > 8 else "OB"
    return file


def compressed(values: np.ndarray, frame: bytes, syntax: str, **elements: Any) -> bytes:
    """DICOM of a frame that an encoder has compressed."""
    file = dataset(values, **elements)
    file.PixelData = encapsulate([frame])
    file["PixelData"].VR = "OB"
    file["PixelData"].is_undefined_length = True
    file.file_meta.TransferSyntaxUID = syntax
    return saved(file)


def saved(file: Dataset) -> bytes:
    buffer = io.BytesIO()
    file.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
