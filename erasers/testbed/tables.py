"""The Markdown page of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any

from erasers.evaluate.markdown import table
from erasers.testbed.measure import ORIGIN, Record
from erasers.testbed.questions import CONCEPT
from erasers.testbed.subjects import subjects
from erasers.testbed.summary import BUDGET, CELLS, KEPT, NEAR, STAYING, Interval, Row, Section, at

TRADE_OFF, SEARCHES = "tradeoff.png", "searches.png"
_HEAD = (
    "variant", "left", *CONCEPT, "kept", *STAYING, "cosine near", "cosine unrelated", "recoverable", "γ", "blocks",
)  # fmt: skip
_LEGEND = """Reads are shares of prompts in which a linear probe, fitted on the encoder as it is, reads the phrase
that a prompt shows; in tables of variants they are relative to the origin's. `left` is plain, synonyms and
paraphrases together; `kept` is other subjects (`others`), neighbours that training may be told of (`keep`) and
neighbours that it never is. In brackets: 95 % bootstrap intervals over subjects. `cosine` is that of pooled
embeddings with their unerased selves, `near` of `keep` and `neighbours`. `recoverable` is the accuracy of a probe
that is fitted anew after the erasure, to tell the subject from its neighbours; .5 is chance. `γ` is smallest, median,
largest, or the only one; `blocks` says how many subjects are erased where."""


def page(about: Mapping[str, Any], records: Sequence[Record], found: Mapping[str, Section]) -> str:
    parts = [
        "# The testbed: results",
        f"Written by `python -m erasers.testbed.results`, do not edit. {about['encoder']}, "
        f"weights {about['weights_sha256'][:12]}, prompts {about['prompts_sha256'][:12]}, scale {about['scale']}, "
        f"seed {about['seed']}.",
        _LEGEND,
    ]
    if "methods" in found:
        parts += _methods(found["methods"])
    for group, title in (("blocks", "Every block by hand"), ("ablations", "One change at a time to `clear`")):
        if group in found:
            parts += [f"## {title}", _subjects(found[group]), _rows(found[group].own)]
            parts += [f"Within the budget (a cosine of {BUDGET:g}, as above):", _rows(found[group].within_budget)]
    origins = {record["subject"]: record for record in records if record["variant"] == ORIGIN}
    searched = [record for record in records if record["variant"] == "clear" and "scan_l_con" in record["search"]]
    if searched:
        parts += ["## `clear`, subject by subject", "Reads are shares of prompts here.", _by_subject(searched, origins)]
        means = f"Means over {', '.join(record['subject'] for record in searched)}."
        parts += ["## What each block holds", means, _by_block(searched, origins)]
        parts += [f"![The search of `clear`: the course of p, and L_con and probe errors by block]({SEARCHES})"]
    return "\n\n".join(parts) + "\n"


def _methods(found: Section) -> list[str]:
    kept = found.where_kept
    beyond = [variant for variant, one in kept.items() if one is None]
    return [
        "## Methods, each at its own strength",
        _subjects(found),
        _rows(found.own),
        f"![What each method leaves of the concept, and what of the rest, over strength]({TRADE_OFF})",
        f"## Methods, where {KEPT:.0%} is kept\nAt the factor of its own strength that erases most of those at which `kept` is "
        f"as much: one for all subjects, chosen on the test. At no strength measured: {', '.join(beyond) or 'none of them'}.",
        _rows([one for one in kept.values() if one is not None], factor=True),
        f"## Methods, at the strongest factor within the budget\nA cosine of {BUDGET:g} or more of `keep` and unrelated prompts "
        "in the validation, whose scenes are not those of the test. Where no factor is within it, nothing is erased.",
        _rows(found.within_budget),
    ]


def _subjects(found: Section) -> str:
    reads = ", ".join(f"{cell} {_share(read)}" for cell, read in found.origin.read.items())
    return (
        f"{len(found.subjects)} of {len(subjects())} subjects: {', '.join(found.subjects)}. "
        f"The origin's reads, of which the table has shares: {reads}; recoverable {_share(found.origin.recoverable)}."
    )


def _rows(rows: Sequence[Row], *, factor: bool = False) -> str:
    return table(_HEAD, [_cells(one, f" (× {one.factor:g})" if factor else "") for one in rows])


def _cells(one: Row, note: str) -> list[str]:
    acting = "" if one.acting == one.subjects else f" ({one.acting} of {one.subjects})"
    layers = " ".join(f"{layer}:{count}" for layer, count in one.layers.items())
    strengths = [f"{value:.3g}" for value in one.strength]

    def text(interval: Interval) -> str:
        around = f" ({interval.low:.2f} to {interval.high:.2f})" if one.subjects > 1 else ""  # one subject has no interval
        return f"{interval.value:.2f}{around}"

    return [
        one.variant + note + acting,
        *map(text, (one.left, *(one.relative[cell] for cell in CONCEPT))),
        *map(text, (one.kept, *(one.relative[cell] for cell in STAYING), one.cosine_near, one.cosine_unrelated)),
        _share(one.recoverable), ", ".join(strengths if len(set(strengths)) > 1 else strengths[:1]), layers,
    ]  # fmt: skip


def _by_subject(searched: Sequence[Record], origins: Mapping[str, Record]) -> str:
    lines = []
    for record in searched:
        origin = origins[record["subject"]]
        before, after = origin["points"][0], at(record, 1.0)
        assert after is not None  # noqa: S101 every variant is measured at its own strength
        near = fmean(after["test"][cell]["cosine"] for cell in NEAR)
        lines.append(
            [
                record["subject"],
                str(record["layer"]),
                f"{record['strength']:g}" + ("" if record["reached"] else " (not reached)"),
                *(f"{before['test'][cell]['read']:.0%} → {after['test'][cell]['read']:.0%}" for cell in CELLS),
                f"{near:.2f}",
                f"{before['recoverable']:.2f} → {after['recoverable']:.2f}",
                f"{origin['false_alarms']:.0%}",
            ]
        )
    head = ("subject", "block", "γ", *CELLS, "cosine near", "recoverable", "false alarms before")
    return table(head, lines)


def _by_block(searched: Sequence[Record], origins: Mapping[str, Record]) -> str:
    """What the search chose, and L_con as its last SAE sees it."""
    searches = [record["search"] for record in searched]
    chosen = Counter(record["layer"] for record in searched)
    scanned = Counter(search["scan_layer"] for search in searches)
    errors = [origins[record["subject"]]["block_errors"] for record in searched]
    measures: dict[str, Callable[[int], str]] = {
        "probe error, new scenes": lambda layer: f"{fmean(one[layer] for one in errors):.3f}",
        "probe error, training pairs": lambda layer: f"{fmean(one['probe_error'][layer] for one in searches):.3f}",
        "L_con after the search": lambda layer: f"{fmean(one['scan_l_con'][layer] for one in searches):.3f}",
        "smallest L_con (subjects)": lambda layer: str(scanned[layer]),
        "searched (subjects)": lambda layer: str(chosen[layer]),
        "last p": lambda layer: f"{fmean(one['trajectory'][-1]['p'][layer] for one in searches):.2f}",
    }
    layers = range(len(errors[0]))
    return table(("block", *map(str, layers)), [[name, *map(value, layers)] for name, value in measures.items()])


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
