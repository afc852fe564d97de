"""γ: a curve of erasure against drift, and the point on it to serve at.

The concept score of a prompt is a linear probe's logit on its final embeddings, scaled so that untouched positives have
mean 1 and untouched negatives mean 0. Measured through the hook that serves, on pairs that training did not see.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from torch import Tensor

from erasers.encoding import PromptEncoder
from erasers.eraser import Eraser
from erasers.evaluate.drift import drift
from erasers.methods.config import MethodConfig
from erasers.probe import LinearProbe
from erasers.stack import attach


class Point(NamedTuple):
    """One strength."""

    gamma: float
    score: float
    """Mean concept score of erased positives."""
    score_p90: float
    drift: float
    """Mean relative change of negatives and keep prompts."""


class Calibration(NamedTuple):
    gamma: float
    minimum: float
    """The smallest γ on the curve that brought the score down to `gamma_level` within the drift budget; `gamma` itself where
    that is smaller, or where none did."""
    reached: bool
    """Some γ within the drift budget brought the score down to `gamma_level`."""
    curve: list[Point]

    def report(self) -> dict[str, Any]:
        points = [{name: round(value, 4) for name, value in point._asdict().items()} for point in self.curve]
        return {"gamma": self.gamma, "reached": self.reached, "curve": points}


class ConceptScale(NamedTuple):
    """A probe's logit, scaled: 0 is the mean of negatives, 1 that of positives."""

    probe: LinearProbe
    zero: float
    one: float

    @classmethod
    def of(cls, probe: LinearProbe, positive: Tensor, negative: Tensor) -> ConceptScale:
        return cls(probe, float(probe(negative).mean()), float(probe(positive).mean()))

    def __call__(self, pooled: Tensor) -> Tensor:
        return (self.probe(pooled) - self.zero) / max(self.one - self.zero, 1e-6)


def draw_curve(
    eraser: Eraser,
    encoder: PromptEncoder,
    scale: ConceptScale,
    *,
    positive: Sequence[str],
    harmless: Sequence[str],
    gammas: Sequence[float],
    fingerprint: str,
    on_progress: Callable[[int, int], None],
) -> list[Point]:
    """`harmless` are prompts that should not change: negatives and keep prompts."""
    before, curve = encoder.final_states(harmless), []
    for done, gamma in enumerate(gammas, start=1):
        with attach(encoder.text_encoder, [eraser], strengths=[gamma], fingerprint=fingerprint) as handle:
            score = scale(encoder.final_states(positive).pooled())
            moved = drift(before, encoder.final_states(harmless))
        handle.require(rows=len(positive) + len(harmless))
        curve.append(Point(gamma, float(score.mean()), float(score.quantile(0.9)), float(moved.mean())))
        on_progress(done, len(gammas))
    return curve


def grid(config: MethodConfig) -> list[float]:
    """gamma_step, 2 gamma_step … gamma_max; a fixed γ is on it too, so that the curve shows where it lies."""
    count = int(config.gamma_max / config.gamma_step + 1e-9)
    points = {round(config.gamma_step * i, 6) for i in range(1, count + 1)}
    return sorted(points | ({float(config.gamma)} if config.gamma != "auto" else set()))


def choose(curve: list[Point], config: MethodConfig) -> Calibration:
    """The smallest γ that reaches `gamma_level`, times the margin, but never beyond the drift budget.

    If none reaches it, the one within the budget that comes lowest; if even the smallest γ exceeds the budget, that one.
    """
    affordable = [point for point in curve if point.drift <= config.drift_budget]
    reaching = [point.gamma for point in affordable if point.score <= config.gamma_level]
    if config.gamma != "auto":
        fixed = float(config.gamma)
        return Calibration(fixed, min([fixed, *reaching]), fixed in reaching, curve)
    if reaching:
        wanted = round(min(reaching[0] * config.gamma_margin, affordable[-1].gamma), 4)
        return Calibration(wanted, min(wanted, reaching[0]), True, curve)
    best = min(affordable, key=lambda point: point.score, default=curve[0]).gamma
    return Calibration(best, best, False, curve)
