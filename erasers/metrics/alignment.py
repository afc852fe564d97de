"""Does the clip show what the prompt says?"""

from __future__ import annotations

from torch import Tensor


def clipsim(frames: Tensor, text: Tensor) -> float:
    """CLIPSIM (Wu et al., GODIVA, arXiv 2104.14806): mean cosine between CLIP's features of frames (T, d) and prompt (d,).

    Not VBench's overall consistency, which asks ViCLIP about the clip as a whole; and blind to the order of the frames.
    """
    return float((frames @ text).mean())
