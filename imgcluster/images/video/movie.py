"""Videos by PyAV: the times of the frames from the packets alone, and decoding in order."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from imgcluster.errors import ImageError
from imgcluster.images.file_kinds import head_of, kind_of
from imgcluster.images.video.joined import JoinedTimes
from imgcluster.images.video.pixels import MAX_FRAME_PIXELS, TOO_LARGE, to_rgb
from imgcluster.images.video.track import Track

# The containers that are opened, by FFmpeg's names: others, such as playlists, may lead to further files and URLs.
CONTAINERS = "mov,matroska,avi,mpegts,mpeg,flv,live_flv,asf,ogg,mxf"
MAX_PIXELS = {"max_pixels": str(MAX_FRAME_PIXELS)}
OPTIONS = {"format_whitelist": CONTAINERS, "protocol_whitelist": "file", **MAX_PIXELS}
# Damage is an error, which comes in order, and not a flag, which another thread may copy too early.
STRICT = {"err_detect": "explode"}
# The codecs that flag the frames whose damage they conceal; others leave old memory in them unless it is an error.
FLAGGED_CODECS = frozenset(
    (
        *("h264", "mpeg1video", "mpeg2video", "mpeg4", "h261", "h263", "h263i", "h263p", "flv", "msmpeg4", "msmpeg4v1"),
        *("msmpeg4v2", "wmv1", "wmv2", "wmv3", "vc1", "rv10", "rv20", "rv30", "rv40", "svq3"),
    )
)
WITHOUT_TIMES = "avi"  # holds frames at a constant rate in the order of decoding, and no times at which they are shown
ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}  # FFmpeg's own decoders of these ignore the opacity
VP8_IS_SHOWN = 0x10  # in the first byte of a frame (RFC 6386, section 9.1)
MIN_LACK_SECONDS = 1.0  # of a video that breaks off


def decoder_version() -> str:
    """Return the version of PyAV's FFmpeg, on which pixels may depend."""
    import av

    return str(av.ffmpeg_version_info)


class Movie:
    """An open video. Raises ImageError where it holds none; the text is the reason alone."""

    def __init__(self, place: str) -> None:
        import av

        self._place = place
        self._errors: tuple[type[Exception], ...] = (av.FFmpegError, OSError, ValueError)
        self.damaged, self._is_threaded = 0, True
        self._open()

    def _open(self) -> None:
        import av

        try:
            place = f"file:{Path(self._place).absolute()}"  # without the protocol, a colon in a name would end one
            self._container: Any = av.open(place, options=OPTIONS, metadata_errors="replace")
        except self._errors:
            raise ImageError(_why_not(self._place)) from None
        self._stream: Any = _find_stream(self._container)
        self._stream.thread_type = "AUTO" if self._is_threaded else "NONE"
        is_flagged = not self._is_threaded and self._stream.codec_context.name in FLAGGED_CODECS
        self._stream.codec_context.options = MAX_PIXELS | ({} if is_flagged else STRICT)
        # Kept, since other threads ask for it while this one may be closing the container.
        self._pixel_aspect = Fraction(
            self._stream.sample_aspect_ratio or self._stream.codec_context.sample_aspect_ratio or 1
        )
        self._codec: Any = _alpha_decoder(self._stream) or self._stream.codec_context
        self._joined = JoinedTimes.of(self._container, self._stream)
        self._is_fresh, self._is_broken = True, False

    def track(self) -> Track:
        """Return the times of all frames, by demuxing alone. Raises ImageError where there is no frame."""
        times, keys, end = [], [], 0
        is_counted = self._container.format.name == WITHOUT_TIMES
        for packet in self._packets():
            time = packet.dts if is_counted else packet.pts
            if time is None or packet.is_discard or not self._is_shown(packet):
                continue
            times.append(time)
            end = max(end, time + (packet.duration or 0))
            if packet.is_keyframe:
                keys.append(time)
        if not times:
            raise ImageError("truncated or damaged video: it has no frame")
        shown = np.unique(np.array(times, np.int64))
        if end <= shown[-1]:
            end = int(shown[-1]) + (int(np.median(np.diff(shown))) if len(shown) > 1 else 1)
        can_seek = not is_counted and not self._joined.has_jumped
        starts = np.unique([int(shown[0]), *(keys if can_seek else [])])
        tick = self._stream.time_base
        origin = round(Fraction(self._container.start_time or 0, 1_000_000) / tick)
        return Track(
            times=shown,
            keys=starts[np.searchsorted(starts, shown, "right") - 1],
            tick=tick,
            origin=min(origin, int(shown[0])),
            end=end,
            is_counted=is_counted,
            note=self._lack(shown, end),
        )

    def frames(self, track: Track, key: int) -> Iterator[tuple[int, Any]]:
        """Yield the frames from a key frame on in the order in which they are shown, each with its time.

        What several threads make of damage depends on chance: from its first sign on, one thread decodes.
        """
        last = key - 1
        for time, frame in self._from(track, key):
            last = max(last, time)
            yield time, frame
        if self.damaged and self._is_threaded:
            self._is_threaded = False
            self._reopen()
            following = min(int(np.searchsorted(track.times, last, "right")), len(track.times) - 1)
            yield from (found for found in self._from(track, int(track.keys[following])) if found[0] > last)

    def _from(self, track: Track, key: int) -> Iterator[tuple[int, Any]]:
        if key != track.times[0] and self._can_seek(key):
            found = self._timed(track)
            first = next(found, None)
            if first is not None and first[0] <= key:  # else it led elsewhere, or the key frame is damaged
                yield first
                yield from found
                return
        if not self._is_fresh:
            self._reopen()
        yield from self._timed(track)

    def _timed(self, track: Track) -> Iterator[tuple[int, Any]]:
        count, self.damaged = 0, 0
        for frame in self._decoded():
            time = frame.dts if frame.pts is None else frame.pts
            if track.is_counted:
                time, count = int(track.times[min(count, len(track.times) - 1)]), count + 1
            if frame.is_corrupt:
                self.damaged += 1
                if self._is_threaded:
                    return
            elif time is not None:
                yield time, frame

    def rgb(self, frame: Any) -> np.ndarray:
        """Return a frame as viewers show it, (height, width, 3) RGB uint8. Any thread may ask. Raises ImageError."""
        try:
            return to_rgb(frame, self._pixel_aspect)
        except self._errors as error:
            raise ImageError(f"its pixels cannot be converted: {error}") from None

    def nbytes(self, frame: Any) -> int:
        """Return the memory of a frame before `rgb`."""
        return sum(plane.buffer_size for plane in frame.planes)

    def _packets(self) -> Iterator[Any]:
        """Yield the packets, in the order of decoding, up to where the file breaks off."""
        self._is_fresh = False
        try:
            for packet in self._container.demux(self._stream):
                if packet.size:
                    self._joined.mend(packet)
                    yield packet
        except self._errors:
            self._is_broken = True

    def _decoded(self) -> Iterator[Any]:
        """Yield the decoded frames; of several threads, those before the first error."""
        waiting = 0  # packets that have not become frames yet
        for packet in self._packets():
            found = self._decode(packet)
            if self.damaged and self._is_threaded:
                return
            yield from found
            waiting += self._is_shown(packet) - len(found)
        rest = self._decode(None)
        if self._is_threaded and len(rest) < waiting:  # FFmpeg drops the errors of the last packets
            self.damaged += 1
            return
        yield from rest

    def _decode(self, packet: Any) -> list[Any]:
        try:
            return list(self._codec.decode(packet))
        except EOFError:  # nothing was left in the decoder
            return []
        except self._errors:
            self.damaged += 1
            return []

    def _can_seek(self, key: int) -> bool:
        """Go to a key frame, and say whether the container could."""
        try:
            self._container.seek(key, stream=self._stream)
        except self._errors:
            return False
        self._codec.flush_buffers()
        return True

    def _reopen(self) -> None:
        self._container.close()
        self._open()

    def _is_shown(self, packet: Any) -> bool:
        return self._stream.codec_context.name != "vp8" or bool(bytes(packet)[0] & VP8_IS_SHOWN)

    def _lack(self, shown: np.ndarray, end: int) -> str:
        """Say where a video breaks off, by what it says of its length."""
        tick = self._stream.time_base
        seconds, declared = float((end - int(shown[0])) * tick), self._declared_seconds()
        gap = float(np.diff(shown).max(initial=0) * tick)
        if not self._is_broken and (declared or 0) - seconds <= max(MIN_LACK_SECONDS, 2 * gap):
            return ""
        whole = f" of {declared:.3f}" if declared else ""
        return f"breaks off after {len(shown):,} frames, at {seconds:.3f}{whole} s"

    def _declared_seconds(self) -> float | None:
        stream, container = self._stream, self._container
        if stream.duration:
            return float(stream.duration * stream.time_base)
        if len(container.streams) == 1 and container.duration:
            return float(container.duration / 1_000_000)
        return None


def _find_stream(container: Any) -> Any:
    """Return the video stream that viewers show; the picture on the cover of a song is none."""
    from av.stream import Disposition

    streams = list(container.streams.video)
    moving = [each for each in streams if not each.disposition & Disposition.attached_pic]
    if not moving:
        raise ImageError("has no video: its only picture is a cover" if streams else "has no video stream")
    best = container.streams.best("video")
    stream = best if best in moving else moving[0]
    codec = stream.codec_context
    if codec is None:
        raise ImageError("has a codec that FFmpeg does not know")
    if codec.width * codec.height > MAX_FRAME_PIXELS:
        raise ImageError(TOO_LARGE)
    return stream


def _alpha_decoder(stream: Any) -> Any:
    """Return a decoder that reads opacity, for a stream with some that its own decoder leaves out; else None."""
    import av

    codec = stream.codec_context
    name = ALPHA_DECODERS.get(codec.name)
    tags = {key.lower(): value for key, value in stream.metadata.items()}
    if name is None or tags.get("alpha_mode") != "1":
        return None
    try:
        decoder = av.CodecContext.create(name, "r")
    except ValueError:  # UnknownCodecError: an FFmpeg without libvpx
        return None
    decoder.extradata = codec.extradata
    decoder.options = codec.options
    return decoder


def _why_not(place: str) -> str:
    """Return why a file is not opened as a video."""
    path = Path(place)
    try:
        if path.is_dir():
            return "is a folder"
        head = head_of(path)
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    if not head:
        return "the file is empty" if path.exists() else "no such file"
    kind = kind_of(head)
    if kind is None:
        return "damaged, or not a video"
    return "truncated or damaged video" if kind == "a video" else f"{kind}, not a video"
