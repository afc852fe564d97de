"""Frames to an MP4 that plays everywhere: H.264, yuv420p, BT.709, index first. In memory; equal frames give equal bytes."""

from __future__ import annotations

import io
from collections.abc import Mapping
from fractions import Fraction

import av
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

from workers.pipelines.base import Frames

CRF = 16
"""Quality of x264: 18 is hard to tell from the original; the erasure is measured on what comes out of here, so a bit better."""

_OPTIONS = {"crf": str(CRF), "preset": "medium", "x264-params": "no-mbtree=1"}
"""Without macroblock-tree: with it, x264 gives small videos different bytes from run to run."""
_CONTAINER_OPTIONS = {"movflags": "+faststart+use_metadata_tags", "fflags": "+bitexact"}


def encode_mp4(frames: Frames, *, frames_per_second: int, metadata: Mapping[str, str]) -> bytes:
    """`frames` is (T, H, W, 3) uint8 RGB with even H and W; `metadata` becomes tags of the file."""
    if frames.ndim != 4 or frames.shape[3] != 3 or frames.dtype != np.uint8:
        raise ValueError(f"frames must be (T, H, W, 3) uint8, got {frames.shape} {frames.dtype}")
    count, height, width, _ = frames.shape
    if count == 0 or height % 2 or width % 2:
        raise ValueError(f"yuv420p needs at least one frame of even size, got {count} of {width}x{height}")
    buffer = _Memory()
    with av.open(buffer, "w", format="mp4", container_options=_CONTAINER_OPTIONS, io_open=buffer.reopen) as container:
        container.metadata.update(metadata)
        stream = container.add_stream("libx264", rate=Fraction(frames_per_second), options=_OPTIONS)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        context = stream.codec_context
        context.thread_count = 1  # the bytes must not depend on the machine's cores
        context.color_range, context.colorspace = ColorRange.MPEG, Colorspace.ITU709
        context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
        for array in frames:
            rgb = av.VideoFrame.from_ndarray(array, format="rgb24")
            container.mux(stream.encode(rgb.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709)))
        container.mux(stream.encode(None))
    return buffer.getvalue()


class _Memory(io.BytesIO):
    """A file in memory. To move the index to the front, FFmpeg opens by its name, for reading, what it has just written."""

    name = "video.mp4"

    def reopen(self, _url: str, _flags: int, _options: object) -> io.BytesIO:
        return io.BytesIO(self.getvalue())
