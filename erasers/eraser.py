"""The frozen eraser: what serving needs, and the artefact it is stored as."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from erasers import artefact, methods
from erasers.artefact import ArtefactConfig
from erasers.concepts import Concept
from erasers.errors import ArtefactError, ArtefactInvalid, DigestMismatch, StackError
from erasers.methods.base import AttentionMethod, BlockMethod, Edit, EmbeddingMethod, PromptMethod, Stage
from erasers.value_checks import check_values


@dataclass(frozen=True, eq=False)
class Eraser:
    """Takes one concept out of one encoder's block. Made by `erasers.train` or `erasers.load`."""

    config: ArtefactConfig
    tensors: Mapping[str, Tensor]
    digest: str

    @property
    def concept(self) -> str:
        return self.config.concept

    @property
    def method(self) -> str:
        return self.config.method

    @property
    def layer(self) -> int:
        return self.config.layer

    @property
    def strength(self) -> float:
        return self.config.strength

    def __repr__(self) -> str:
        return f"Eraser({self.concept!r}, {self.method}, layer={self.layer}, strength={self.strength:g}, {self.digest[:12]})"

    @classmethod
    def build(cls, config: ArtefactConfig, tensors: Mapping[str, Tensor]) -> Eraser:
        """Checks that the tensors are what the config says, and computes the digest."""
        check_values(config, tensors)
        stored = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        return cls(config, dict(tensors), artefact.digest_of(config.to_bytes(), safetensors.torch.save(stored)))

    def named_in(self, prompt: str) -> str | None:
        """The first of the concept's names, synonyms included, that the prompt contains."""
        return Concept(self.concept, synonyms=self.config.synonyms).named_in(prompt)

    @property
    def stage(self) -> Stage:
        return methods.get(self.method).stage

    def edit(self, h: Tensor, x: Tensor | None = None) -> Edit:
        """v and score for h (n, d_model), one token a row, in float32 whatever h and the tensors are.

        x (n, d_inner): what the attention's projection made h of, where the eraser acts there. Raises StackError for an
        eraser that acts on no hidden state.
        """
        method, tensors = methods.get(self.method), self._served(h.device)
        if isinstance(method, AttentionMethod) and x is not None:
            return method.edit(tensors, self.config.parameters, h.float(), x.float())
        if isinstance(method, BlockMethod):
            return method.edit(tensors, self.config.parameters, h.float())
        raise StackError(f"{self!r} does not act on what a block returns, but at the stage {self.stage!r}")

    def edit_embeddings(self, e: Tensor, without: Callable[[], Tensor]) -> Tensor:
        """v (n, d_model) for the embeddings e (n, d_model) of one prompt; `without` as in `EmbeddingMethod.edit`."""
        v: Tensor = self._embedding_method().edit(self._served(e.device), self.config.parameters, e.float(), without)
        return v

    def edit_summary(self, e: Tensor) -> Tensor:
        """v (n, d_model) for embeddings e (n, d_model) that sum up prompts in which `edit_embeddings` found the concept."""
        v: Tensor = self._embedding_method().edit_summary(self._served(e.device), self.config.parameters, e.float())
        return v

    def score(self, e: Tensor) -> Tensor:
        """(n,): how strongly the concept is present in each of the embeddings e (n, d_model)."""
        score: Tensor = self._embedding_method().score(self._served(e.device), self.config.parameters, e.float())
        return score

    def negative_words(self) -> tuple[str, ...]:
        """What is appended to the negative prompt: nothing, unless that is where the eraser acts."""
        method = methods.get(self.method)
        return method.words(self.config.parameters) if isinstance(method, PromptMethod) else ()

    def _embedding_method(self) -> EmbeddingMethod[Any]:
        method = methods.get(self.method)
        if not isinstance(method, EmbeddingMethod):
            raise StackError(f"{self!r} does not act on embeddings, but at the stage {self.stage!r}")
        return method

    def _served(self, device: torch.device) -> dict[str, Tensor]:
        return {name: tensor.to(device, torch.float32) for name, tensor in self.tensors.items()}

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Eraser:
        """The same eraser with its tensors there: `to("cuda", torch.float32)` once spares a copy at every forward."""
        moved = {name: tensor.to(device=device, dtype=dtype) for name, tensor in self.tensors.items()}
        return Eraser(self.config, moved, self.digest)

    def save(self, directory: str | Path) -> Path:
        """Write the artefact; `config.json` last, so that a directory that has one is whole."""
        target = Path(directory)
        target.mkdir(parents=True, exist_ok=True)
        stored = {name: tensor.detach().cpu().contiguous() for name, tensor in self.tensors.items()}
        content, config = safetensors.torch.save(stored), self.config.to_bytes()
        if artefact.digest_of(config, content) != self.digest:
            raise ArtefactError(f"{self!r} would not be written as it was read; copy its directory instead of saving it again")
        _write(target / artefact.TENSORS_FILE, content)
        _write(target / artefact.CONFIG_FILE, config)
        return target


def load(directory: str | Path, expected_digest: str | None = None) -> Eraser:
    """Read an artefact. Its digest is compared before anything is parsed; then every key, shape and value is checked."""
    config_bytes = artefact.read_bytes(directory, artefact.CONFIG_FILE)
    tensor_bytes = artefact.read_bytes(directory, artefact.TENSORS_FILE)
    digest = artefact.digest_of(config_bytes, tensor_bytes)
    if expected_digest is not None and digest != expected_digest:
        raise DigestMismatch(f"{directory} has digest {digest}, not {expected_digest}; fetch the artefact again")
    config = ArtefactConfig.from_bytes(config_bytes)
    artefact.parse_headers(tensor_bytes, len(tensor_bytes))
    try:
        tensors = safetensors.torch.load(tensor_bytes)
    except SafetensorError as error:
        raise ArtefactInvalid(f"{artefact.TENSORS_FILE} in {directory} cannot be read: {error}") from error
    check_values(config, tensors)
    return Eraser(config, tensors, digest)


def _write(path: Path, content: bytes) -> None:
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)
