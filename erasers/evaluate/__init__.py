"""Measurements. In embedding space here; on generated frames where there are frames."""

from __future__ import annotations

from erasers.evaluate.report import evaluate_embeddings

__all__ = ["evaluate_embeddings"]
