"""What a method is: it fits tensors to pairs, and says what they do at the stage where it acts.

    tokens ─▶ block 0: attention ─▶ … ─▶ block l ─▶ … ─▶ final norm ─▶ embeddings        the negative prompt, its own way
                       "attention"       "block"                       "embeddings"      "negative_prompt"

One file a method, registered in `erasers.methods`, of one of the four kinds below; `TrainingFree` is what may be said of any
of them. Serving, strength, artefact and evaluation are the same for all.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, NamedTuple, TypeVar, get_args

from torch import Tensor

from erasers.cache import ActivationCache
from erasers.checkpoint import Checkpoint
from erasers.concepts import Concept
from erasers.encoding import PromptEncoder
from erasers.layouts import layout
from erasers.methods.config import MethodConfig

Stage = Literal["attention", "block", "embeddings", "negative_prompt"]
STAGES: tuple[Stage, ...] = get_args(Stage)
"""In the order in which a prompt comes by."""

Progress = Callable[[str, int, int, dict[str, Any]], None]
"""progress(stage, step, total, info). Raising from it stops the training; a checkpoint lets it go on later."""
Tensors = Mapping[str, Tensor]
Config = TypeVar("Config", bound=MethodConfig)


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """Cached activations, and which of their rows are what."""

    concept: Concept
    encoder: PromptEncoder
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
    """Where a method acts is the `stage`; implement one of the kinds below, never this."""

    name: str
    config_type: type[Config]
    stage: Stage

    @abstractmethod
    def fit(self, data: TrainingSet, config: Config) -> Fitted: ...

    def layout(self, parameters: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
        """Tensor names, and their shapes in symbols: `erasers.layouts` has them, because gateways without torch read them too."""
        return layout(self.name, parameters)

    def compact(
        self, fitted: Fitted, data: TrainingSet, gamma: float, config: Config
    ) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The tensors to store, and a report of what that changes. Unless a method says otherwise: all, nothing."""
        return fitted.tensors, {}


class TrainingFree(Method[Config]):
    """Needs the concept's names and no pairs, so that `erasers.from_names` can do without a training."""

    @abstractmethod
    def fit_names(self, concept: Concept, encoder: PromptEncoder, config: Config) -> Fitted: ...

    def fit(self, data: TrainingSet, config: Config) -> Fitted:
        """The same: pairs only measure what comes of it."""
        fitted = self.fit_names(data.concept, data.encoder, config)
        data.progress("fit", 1, 1, {})
        return fitted


class BlockMethod(Method[Config]):
    """Acts on what a block returns."""

    stage: Stage = "block"

    @abstractmethod
    def edit(self, tensors: Tensors, parameters: Mapping[str, Any], h: Tensor) -> Edit:
        """What to take out of h (n, d_model), float32, one token a row; a pure function of each row."""


class AttentionMethod(Method[Config]):
    """Acts on what the attention of a block adds to the residual stream, as a change of its output projection would."""

    stage: Stage = "attention"

    @abstractmethod
    def edit(self, tensors: Tensors, parameters: Mapping[str, Any], h: Tensor, x: Tensor) -> Edit:
        """What to take out of h (n, d_model), which the projection made of x (n, d_inner); both float32, one token a row."""


class EmbeddingMethod(Method[Config]):
    """Acts on the finished embeddings of a prompt, and may have the encoder look at variants of the prompt."""

    stage: Stage = "embeddings"

    @abstractmethod
    def score(self, tensors: Tensors, parameters: Mapping[str, Any], e: Tensor) -> Tensor:
        """(n,): how strongly the concept is present in each token of e (n, d_model), float32."""

    @abstractmethod
    def edit(self, tensors: Tensors, parameters: Mapping[str, Any], e: Tensor, without: Callable[[], Tensor]) -> Tensor:
        """v (n, d_model), to be taken out of e (n, d_model), float32, the embeddings of one prompt's n tokens.

        `without()` is (n, n, d_model), float32: the embeddings of the prompt encoded n times, the i-th time with its token i
        hidden from attention. It costs n encoder rows and is to be called once at most.
        """

    @abstractmethod
    def edit_summary(self, tensors: Tensors, parameters: Mapping[str, Any], e: Tensor) -> Tensor:
        """v (n, d_model) for embeddings e (n, d_model), float32, that sum up prompts in which `edit` found the concept."""


class PromptMethod(Method[Config]):
    """Acts on the negative prompt, which is text; on no hidden state."""

    stage: Stage = "negative_prompt"

    @abstractmethod
    def words(self, parameters: Mapping[str, Any]) -> tuple[str, ...]:
        """What is appended to the negative prompt."""
