"""Measurements. In embedding space here; on generated frames where there are frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from erasers.evaluate.report import evaluate_embeddings

__all__ = ["evaluate_embeddings"]


def __getattr__(name: str) -> Any:
    """`report` uses erasers, and methods use `probe` and `layers`: loaded late, so that neither waits for the other."""
    if name == "evaluate_embeddings":
        from erasers.evaluate.report import evaluate_embeddings

        return evaluate_embeddings
    raise AttributeError(f"module 'erasers.evaluate' has no attribute {name!r}")
