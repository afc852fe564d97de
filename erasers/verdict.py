"""Whether an eraser worked on one prompt: the rule that turns two scores and a reference into a word. No torch.

The scores are those of `erasers.presence`: 0 is the mean of prompts without the concept, 1 that of prompts with it. Both are
read from the encoder's output: `before` without any eraser, `after` with the whole stack.

    present = the prompt names the concept, or before > absent_below

    after <= absent_below                                        removed if present, else not_present
    after - absent_below <= REDUCED * (before - absent_below)    reduced
    otherwise                                                    not_reduced

So a prompt that did not contain the concept and does after the stack acted is `not_reduced`: another eraser has put it there.
Workers fail a job with a concept that is `not_reduced`, unless the request allows it.
"""

from __future__ import annotations

from typing import Literal, get_args

Verdict = Literal["not_present", "removed", "reduced", "not_reduced"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
"""From best to worst."""

REDUCED = 0.5
"""Largest share of the score above the reference that may be left where a concept counts as reduced."""


def verdict_of(before: float, after: float, *, absent_below: float, named: bool = False) -> Verdict:
    """named: the prompt contains one of the concept's names, so that a low score before does not mean absence.

    A score that is not a number counts as `not_reduced`.
    """
    present = named or not before <= absent_below
    if after <= absent_below:
        return "removed" if present else "not_present"
    if after - absent_below <= REDUCED * (before - absent_below):
        return "reduced"
    return "not_reduced"
