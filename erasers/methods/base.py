"""What a method is: it fits tensors to pairs, and says what they take out of a block's output.

One file a method, registered in `erasers.methods`. Serving, strength, gate, artefact and evaluation are the same for all.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from torch import Tensor

from erasers.cache import ActivationCache
from erasers.checkpoint import Checkpoint
from erasers.methods.config import MethodConfig

Progress = Callable[[str, int, int, dict[str, Any]], None]
"""progress(stage, step, total, info). Raising from it stops the training; a checkpoint lets it go on later."""
Tensors = Mapping[str, Tensor]
Config = TypeVar("Config", bound=MethodConfig)


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """Cached activations, and which of their rows are what."""

    cache: ActivationCache
    positive: Tensor
    negative: Tensor
    """positive[i] and negative[i] are a pair; the training split only."""
    keep: Tensor
    seed: int
    progress: Progress
    checkpoint: Checkpoint | None


class Fitted(NamedTuple):
    layer: int
    tensors: dict[str, Tensor]
    """float32"""
    parameters: dict[str, Any]
    """JSON that `edit` needs beside the tensors."""
    mask: dict[str, Any]
    search: dict[str, Any]


class Edit(NamedTuple):
    v: Tensor
    """(n, d_model): h' = h - γ v"""
    score: Tensor
    """(n,): how strongly the concept is present in each token; 0 or less where it is not."""


class Method(ABC, Generic[Config]):
    name: str
    config_type: type[Config]

    @abstractmethod
    def fit(self, data: TrainingSet, config: Config) -> Fitted: ...

    @abstractmethod
    def layout(self, parameters: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
        """Tensor names, and their shapes in symbols; equal symbols are equal sizes, `d_model` is the encoder's.

        Raises ArtefactInvalid for parameters that the method does not have.
        """

    @abstractmethod
    def edit(self, tensors: Tensors, parameters: Mapping[str, Any], h: Tensor) -> Edit:
        """What to take out of h (n, d_model), float32, one token a row; a pure function of each row."""

    def compact(
        self, fitted: Fitted, data: TrainingSet, gamma: float, config: Config
    ) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The tensors to store, and a report of what that changes. Unless a method says otherwise: all, nothing."""
        return fitted.tensors, {}
