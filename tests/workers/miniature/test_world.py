"""Clips look as their scene says, and the same seed draws the same clip."""

from __future__ import annotations

import random

import numpy as np
import pytest

from workers.miniature.vocabulary import BACKGROUNDS, MOTIONS, STYLES, SUBJECTS
from workers.miniature.world import CELL, NUM_FRAMES, SIZE, Scene, background, random_scene, render


def test_clips_repeat_and_seeds_differ() -> None:
    scene = random_scene(random.Random(1), plain=True)
    assert (render(scene, 5) == render(scene, 5)).all()
    assert any((render(scene, 5) != render(scene, seed)).any() for seed in range(6, 16))


@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_subject_is_drawn_over_its_background(subject: str) -> None:
    clip = render(Scene((subject,), "sky"), 0)
    assert clip.shape == (NUM_FRAMES, SIZE, SIZE, 3)
    changed = (clip[0] != np.asarray(background("sky"))).any(axis=2)
    assert 0.03 < changed.mean() < 0.4
    assert not changed[:8].any(), "a subject that stands still keeps to the middle"


def test_subjects_keep_to_the_lattice() -> None:
    """Wherever a clip puts it, a subject's picture is the same, moved by whole cells."""
    ground = np.asarray(background("snow"), int)
    for seed in range(12):
        frame = render(Scene(("apple",), "snow"), seed)[0].astype(int)
        rows, columns = np.nonzero((frame != ground).any(axis=2))
        first = render(Scene(("apple",), "snow"), 0, jitter=0)[0].astype(int)
        rows0, columns0 = np.nonzero((first != ground).any(axis=2))
        dy, dx = rows.min() - rows0.min(), columns.min() - columns0.min()
        assert dy % CELL == 0
        assert dx % CELL == 0
        assert len(rows) == pytest.approx(len(rows0), abs=3)


def middle_of_subject(frame: np.ndarray, name: str) -> tuple[float, float, int]:
    rows, columns = np.nonzero((frame != np.asarray(background(name))).any(axis=2))
    return columns.mean(), rows.mean(), len(rows)


@pytest.mark.parametrize(
    ("motion", "axis", "sign"),
    [("left", 0, -1), ("right", 0, 1), ("up", 1, -1), ("down", 1, 1), ("grow", 2, 1), ("shrink", 2, -1)],
)
def test_motions_move_as_they_are_called(motion: str, axis: int, sign: int) -> None:
    clip = render(Scene(("apple",), "sea", motion), 3)
    first, last = middle_of_subject(clip[0], "sea"), middle_of_subject(clip[-1], "sea")
    assert sign * (last[axis] - first[axis]) > 8


def test_still_stands_and_bounce_comes_back() -> None:
    still = render(Scene(("apple",), "sea", "still"), 3)
    assert (still[0] == still[-1]).all()
    bounce = render(Scene(("apple",), "sea", "bounce"), 3)
    heights = [middle_of_subject(frame, "sea")[1] for frame in bounce]
    assert abs(heights[0] - heights[-1]) < 1
    assert heights[0] - min(heights) > 4


@pytest.mark.parametrize("style", STYLES)
def test_styles_change_the_whole_frame(style: str) -> None:
    plain, styled = render(Scene(("car",), "city"), 0), render(Scene(("car",), "city", style=style), 0)
    assert (plain != styled).any(axis=3).mean() > 0.5


def test_fire_is_drawn_on_the_subject_and_flickers() -> None:
    calm, burning = render(Scene(("car",), "snow"), 0), render(Scene(("car",), "snow", on_fire=True), 0)
    assert 0.02 < (calm != burning).any(axis=3).mean() < 0.3
    assert (burning[0] != burning[1]).any()


def test_unknown_words_are_refused() -> None:
    with pytest.raises(ValueError, match=f"unknown motion 'fly'; one of {', '.join(MOTIONS)}"):
        render(Scene(("car",), "snow", "fly"), 0)
    with pytest.raises(ValueError, match="unknown style 'cubist'"):
        render(Scene(("car",), "snow", style="cubist"), 0)


def test_backgrounds_differ() -> None:
    pictures = [np.asarray(background(name), int) for name in BACKGROUNDS]
    for index, one in enumerate(pictures):
        assert all(np.abs(one - other).mean() > 15 for other in pictures[index + 1 :])
