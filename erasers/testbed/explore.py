"""`python -m erasers.testbed.explore`: ways to act on what one block returns, beside the one that ships.

* `tokens`: CLEAR with `action="mask"`. Each token loses the concept's features that fire on it.
* `prompt-mean`, `prompt-max`: every token of a prompt loses the same, its tokens' mean or largest activity.
* `closed-form`: CLEAR with `action="projection"`. In the space of features, the part of f along mean(f⁺) - mean(f⁻) beyond the
  negatives' mean, decoded.
* `shared`: one dictionary, learned once from the pairs of all subjects; a subject only brings its mask.
* `shared-others`: the same, learned without the subject's own pairs, as for a concept that comes later.
* `project`: the direction of `steering`, which needs no dictionary.

All are asked the same questions at the same relative strengths γ E‖v‖ / E‖h‖, so that no calibration speaks for one of them;
compared is the strongest that leaves what must stay within the budget of cosine, in the validation.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from erasers import cache, encoders, masks
from erasers.activity import activity, chunks
from erasers.encoding import PromptEncoder, max_by_prompt, mean_by_prompt
from erasers.evaluate.markdown import table
from erasers.hooks import reading_real_tokens
from erasers.methods.base import TrainingSet
from erasers.methods.clear import Clear, Search, projection
from erasers.methods.clear_batches import Batches
from erasers.methods.clear_config import ClearConfig
from erasers.methods.steering import Steering
from erasers.normalise import Normalisation
from erasers.sae import features
from erasers.testbed import encoder as testbed_encoder
from erasers.testbed.exam import Exam
from erasers.testbed.measure import ORIGIN, Record
from erasers.testbed.questions import FULL, QUICK, Sizes, questions, validation_questions
from erasers.testbed.readers import Readers, fit_readers
from erasers.testbed.subjects import Subject, subjects
from erasers.testbed.summary import BUDGET, Row, row
from erasers.testbed.training import pairs
from erasers.testbed.variants import MIDDLE, VARIANTS

STRENGTHS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6)
"""γ E‖v‖ / E‖h‖ over the tokens of positives."""
SHARED = 4
"""A shared dictionary learns for so many times as many steps as a subject's own."""
Action = Callable[[Tensor, Tensor], Tensor]
"""v (n, d_model) of h (n, d_model), of the prompts (n,)."""
ACTIONS = ("tokens", "prompt-mean", "prompt-max", "closed-form", "shared", "shared-others", "project")


@dataclass(frozen=True)
class Material:
    """Pairs of some subjects, encoded."""

    data: TrainingSet
    normalisation: Normalisation

    @classmethod
    def of(cls, encoder: PromptEncoder, some: Sequence[Subject], seed: int) -> Material:
        sides = [pairs(subject, VARIANTS["clear"], seed).split(seed).train for subject in some]
        positive, negative = ([prompt for side in sides for prompt in getattr(side, name)] for name in ("positive", "negative"))
        states = cache.build(encoder, [*positive, *negative])
        rows = states.rows(positive), states.rows(negative)
        data = TrainingSet(
            concept=some[0].concept(synonyms=True),
            encoder=encoder,
            cache=states,
            positive=rows[0],
            negative=rows[1],
            keep=torch.empty(0, dtype=torch.long),
            seed=seed,
            progress=lambda *_: None,
            checkpoint=None,
        )
        return cls(data, Normalisation.of(states, torch.cat(rows)))


class Dictionary:
    """A sparse autoencoder of one block, over raw h."""

    def __init__(self, material: Material, config: ClearConfig, layer: int) -> None:
        data, began = material.data, time.perf_counter()
        search = Search(
            Batches(data, material.normalisation, config),
            config,
            d_model=data.cache.d_model,
            layers=data.cache.layers,
            seed=data.seed,
            device=data.cache.device,
        )
        while search.t < search.steps:
            search.step()
        self.tensors = search.sae.folded(material.normalisation, layer)
        self.seconds = time.perf_counter() - began

    def __call__(self, h: Tensor) -> Tensor:
        """f (n, d_sae)"""
        return features(self.tensors, h)

    def decode(self, f: Tensor) -> Tensor:
        """Without b_dec, which cancels in a difference."""
        return f @ self.tensors["W_dec"]


def token_wise(dictionary: Dictionary, data: TrainingSet, layer: int) -> Action:
    m_spec = _mask(dictionary, data, layer)
    return lambda h, prompt: dictionary.decode(dictionary(h) * m_spec)


def prompt_wise(dictionary: Dictionary, data: TrainingSet, layer: int, reduce: Callable[[Tensor, Tensor], Tensor]) -> Action:
    m_spec = _mask(dictionary, data, layer)
    return lambda h, prompt: dictionary.decode(reduce(dictionary(h) * m_spec, prompt)[prompt])


def closed_form(dictionary: Dictionary, data: TrainingSet, layer: int) -> Action:
    tensors, offset = projection(dictionary.tensors, *_means(dictionary, data, layer))
    return lambda h, prompt: Clear().edit(tensors, {"offset": offset}, h).v


def project(data: TrainingSet, layer: int) -> Action:
    along = _excess(*_means(lambda h: h, data, layer))
    return lambda h, prompt: along(h)


def _mask(dictionary: Dictionary, data: TrainingSet, layer: int) -> Tensor:
    return masks.ratio(*_means(dictionary, data, layer))


def _means(encode: Callable[[Tensor], Tensor], data: TrainingSet, layer: int) -> tuple[Tensor, Tensor]:
    positive, negative = (activity(encode, data.cache, layer, rows, "mean") for rows in (data.positive, data.negative))
    return positive, negative


def _excess(positive: Tensor, negative: Tensor) -> Callable[[Tensor], Tensor]:
    tensors = {"direction": positive - negative, "mean_negative": negative}
    return lambda x: Steering().edit(tensors, {"mode": "project"}, x).v


@contextmanager
def acting(encoder: nn.Module, layer: int, gamma: float, action: Action) -> Iterator[None]:
    """h' = h - γ v at the real tokens of one block."""
    with reading_real_tokens(encoder) as real_tokens:

        def edit(module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
            h = encoders.hidden(output)
            real = real_tokens.of(h)
            edited = h.clone()
            edited[real] = h[real] - gamma * action(h[real], real.nonzero()[:, 0])
            return encoders.with_hidden(output, edited)

        handle = encoders.blocks(encoder)[layer].register_forward_hook(edit)
        try:
            yield
        finally:
            handle.remove()


class Explorer:
    def __init__(self, config: ClearConfig, layer: int, sizes: Sizes, seed: int) -> None:
        self._encoder = testbed_encoder.load()
        self._config, self._layer, self._sizes, self._seed = config, layer, sizes, seed
        self._everything = list(subjects().values())
        self._readers: Readers = fit_readers(self._encoder, self._everything, sizes, seed)
        self._long = replace(config, iterations=SHARED * config.iterations)
        self._shared: Dictionary | None = None
        self.seconds: dict[str, list[float]] = {}

    @torch.no_grad()
    def explore(self, subject: Subject, names: Sequence[str]) -> list[Record]:
        exams = {
            "test": Exam(self._encoder, questions(subject, self._everything, self._sizes, self._seed), self._readers),
            "validation": Exam(self._encoder, validation_questions(subject, self._sizes, self._seed), self._readers),
        }
        origin: Record = {"variant": ORIGIN, "subject": subject.name, "points": [_point(exams, 0.0, 0.0)]}
        material = Material.of(self._encoder, [subject], self._seed)
        records = [origin]
        for name, action in self._actions(subject, material, names):
            points = []
            for strength in STRENGTHS:
                gamma = strength / _length(action, material.data, self._layer)
                with acting(self._encoder.text_encoder, self._layer, gamma, action):
                    points.append(_point(exams, strength, gamma))
            records.append({"variant": name, "subject": subject.name, "layer": self._layer, "points": points})
        return records

    def _actions(self, subject: Subject, material: Material, names: Sequence[str]) -> Iterator[tuple[str, Action]]:
        data, layer = material.data, self._layer
        own = self._learn("own", material, self._config) if {*names} & {*ACTIONS[:4]} else None
        for name in names:
            if name == "project":
                yield name, project(data, layer)
            elif name == "shared":
                if self._shared is None:
                    everything = Material.of(self._encoder, self._everything, self._seed)
                    self._shared = self._learn("shared", everything, self._long)
                yield name, token_wise(self._shared, data, layer)
            elif name == "shared-others":
                others = Material.of(self._encoder, [one for one in self._everything if one != subject], self._seed)
                yield name, token_wise(self._learn("shared", others, self._long), data, layer)
            else:
                assert own is not None  # noqa: S101 - learned above
                yield (
                    name,
                    {
                        "tokens": lambda own: token_wise(own, data, layer),
                        "prompt-mean": lambda own: prompt_wise(own, data, layer, mean_by_prompt),
                        "prompt-max": lambda own: prompt_wise(own, data, layer, max_by_prompt),
                        "closed-form": lambda own: closed_form(own, data, layer),
                    }[name](own),
                )

    @torch.enable_grad()
    def _learn(self, kind: str, material: Material, config: ClearConfig) -> Dictionary:
        dictionary = Dictionary(material, config, self._layer)
        self.seconds.setdefault(kind, []).append(dictionary.seconds)
        return dictionary


def _point(exams: Mapping[str, Exam], strength: float, gamma: float) -> dict[str, Any]:
    marks = {name: {cell: mark._asdict() for cell, mark in exam.marks(exam.answers()).items()} for name, exam in exams.items()}
    return {"factor": strength, "strength": round(gamma, 4)} | marks


def _length(action: Action, data: TrainingSet, layer: int) -> float:
    """E‖v‖ / E‖h‖ at γ = 1."""
    removed, present = 0.0, 0.0
    for chunk in chunks(data.cache, layer, data.positive):
        removed += float(action(chunk.h, chunk.prompt).norm(dim=1).sum())
        present += float(chunk.h.norm(dim=1).sum())
    return removed / present


def rows(records: Sequence[Record]) -> list[Row]:
    """Each way within the budget, over the subjects that are done; the origin first."""
    done = list(dict.fromkeys(record["subject"] for record in records))
    ways = dict.fromkeys(record["variant"] for record in records)
    return [row(way, records, 0.0 if way == ORIGIN else None, done) for way in ways]


def markdown(records: Sequence[Record]) -> str:
    lines = []
    for one in rows(records):
        read = [f"{one.read[cell]:.2f}" for cell in ("plain", "synonyms", "paraphrases")]
        left, kept = (f"{part.value:.2f} ({part.low:.2f} to {part.high:.2f})" for part in (one.left, one.kept))
        lines.append(
            [
                one.variant,
                str(one.acting),
                " / ".join(read),
                left,
                kept,
                f"{one.cosine_near.value:.3f}",
                f"{one.cosine_unrelated.value:.3f}",
            ]
        )
    head = ("way to act", "subjects acted on", "plain / synonyms / paraphrases", "left", "kept", "cosine, near", "unrelated")
    return table(head, lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m erasers.testbed.explore", description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--out", type=Path, required=True, help="a file for the records, JSON lines; subjects in it are not done again"
    )
    parser.add_argument("--concepts", nargs="+", choices=list(subjects()), default=list(subjects()), metavar="CONCEPT")
    parser.add_argument("--actions", nargs="+", choices=ACTIONS, default=list(ACTIONS), metavar="ACTION")
    parser.add_argument("--layer", type=int, default=MIDDLE)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="few prompts, hardly trained: whether it runs")
    options = parser.parse_args()
    torch.set_num_threads(1)
    say = sys.stdout.write
    config = ClearConfig(layer=options.layer, expansion=4, refine_iterations=0, iterations=12 if options.quick else 500)
    explorer = Explorer(config, options.layer, QUICK if options.quick else FULL, options.seed)
    lines = options.out.read_text(encoding="utf-8").split("\n") if options.out.exists() else []
    done = [json.loads(line) for line in lines if line]
    for name in options.concepts:
        if any(record["subject"] == name for record in done):
            continue
        found = explorer.explore(subjects()[name], options.actions)
        with options.out.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in found)
        done += found
        subjects_done = len({record["subject"] for record in done})
        say(f"{subjects_done} subjects, cosine at least {BUDGET} in the validation\n\n{markdown(done)}\n")
    for kind, seconds in explorer.seconds.items():
        say(f"learning a dictionary, {kind}: {sum(seconds) / len(seconds):.0f} s\n")


if __name__ == "__main__":
    main()
