"""The MP4: plays from the first byte, looks like the frames, says what it is, and is the same every time."""

from __future__ import annotations

import io

import av
import numpy as np
import pytest

from workers.generation.video import encode_mp4
from workers.pipelines.base import Frames


@pytest.fixture
def frames() -> Frames:
    colours = np.array([(220, 30, 40), (20, 200, 60), (40, 60, 220), (250, 240, 10)], np.uint8)
    still = colours.repeat(16, axis=0)[None].repeat(48, axis=0)  # four bars, 48 high, 64 wide
    return np.stack([np.roll(still, shift * 16, axis=1) for shift in range(5)])


def test_round_trip(frames: Frames) -> None:
    video = encode_mp4(frames, frames_per_second=8, metadata={"comment": "made by a machine", "clearway_id": "gen_1"})
    with av.open(io.BytesIO(video)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert stream.average_rate == 8
        assert container.metadata["clearway_id"] == "gen_1"
        assert container.metadata["comment"] == "made by a machine"
        decoded = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(stream)])
    assert decoded.shape == frames.shape
    centres = slice(8, None, 16)
    np.testing.assert_allclose(decoded[:, :, centres].astype(int), frames[:, :, centres], atol=4)


def test_the_index_comes_first(frames: Frames) -> None:
    video = encode_mp4(frames, frames_per_second=8, metadata={})
    assert 0 < video.index(b"moov") < video.index(b"mdat")


def test_the_same_frames_give_the_same_bytes(frames: Frames) -> None:
    first, second = (encode_mp4(frames, frames_per_second=8, metadata={"comment": "x"}) for _ in range(2))
    assert first == second
    assert encode_mp4(frames[::-1].copy(), frames_per_second=8, metadata={"comment": "x"}) != first


@pytest.mark.parametrize(
    "odd",
    [
        np.zeros((2, 15, 16, 3), np.uint8),
        np.zeros((2, 16, 15, 3), np.uint8),
        np.zeros((0, 16, 16, 3), np.uint8),
        np.zeros((2, 16, 16, 3), np.float32),
        np.zeros((2, 16, 16), np.uint8),
    ],
)
def test_what_cannot_be_a_video_is_refused(odd: Frames) -> None:
    with pytest.raises(ValueError, match="frame"):
        encode_mp4(odd, frames_per_second=8, metadata={})
