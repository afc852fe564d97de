"""How much a clip changes from frame to frame, in pixels and in features."""

from __future__ import annotations

import itertools

import numpy as np
from torch import Tensor

from erasers.errors import FramesError
from erasers.frames import Frames, check_frames


def temporal_flickering(frames: Frames) -> float:
    """VBench's: (255 - mean |I_t - I_(t-1)|) / 255 over all pixels and neighbouring frames; 1 where nothing changes.

    VBench computes it on clips of still scenes only. Elsewhere it counts motion as flicker: compare it between clips of the
    same prompts and seeds, not with published tables.
    """
    check_frames(frames, at_least=2)
    differences = [np.abs(after.astype(np.int16) - before).mean() for before, after in itertools.pairwise(frames)]
    return float((255 - np.mean(differences)) / 255)


def consistency(features: Tensor) -> float:
    """VBench's subject and background consistency, of features (T, d), each of length 1:

    1/(T-1) Σ_(t=2..T) ½ (max(0, ⟨f_1, f_t⟩) + max(0, ⟨f_(t-1), f_t⟩))
    """
    if len(features) < 2:
        raise FramesError(f"consistency is between frames: at least 2 are needed, got {len(features)}")
    to_first = (features[1:] * features[:1]).sum(1).clamp_min(0)
    to_last = (features[1:] * features[:-1]).sum(1).clamp_min(0)
    return float((to_first + to_last).mean() / 2)
