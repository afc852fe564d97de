"""The Markdown page of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from statistics import fmean
from typing import Any

from erasers.evaluate.markdown import table
from erasers.testbed.measure import ORIGIN, Record
from erasers.testbed.questions import CONCEPT
from erasers.testbed.summary import BUDGET, CELLS, Interval, Pick, Row, own, row, within_budget
from erasers.testbed.variants import GROUPS

TRADE_OFF, SEARCHES = "tradeoff.png", "searches.png"
_HEAD = (
    "variant", "left", "plain", "synonyms", "paraphrases", "kept", "others", "keep", "neighbours", "cosine near",
    "cosine unrelated", "change unrelated", "recoverable", "γ", "blocks",
)  # fmt: skip
_LEGEND = """Shares are of prompts in which a linear probe, fitted on the encoder as it is, reads the phrase that a prompt shows.
`left` is plain, synonyms and paraphrases together, relative to the origin; `kept` is other subjects (`others`), neighbours that
training may be told of (`keep`) and neighbours that it never is, relative to the origin; both with 95 % intervals over subjects.
`cosine` is that of pooled embeddings with their unerased selves, `change` the relative change of all token embeddings.
`recoverable` is the accuracy of a probe that is fitted anew after the erasure, to tell the subject from its neighbours; .5 is
chance. `γ` is smallest, median, largest; `blocks` says how many subjects are erased where."""


def page(about: dict[str, Any], records: Sequence[Record]) -> str:
    subjects = [record["subject"] for record in records if record["variant"] == ORIGIN]
    parts = [
        "# The testbed: results",
        f"Written by `python -m erasers.testbed`. {about['encoder']}, weights {about['weights_sha256'][:12]}, "
        f"prompts {about['prompts_sha256'][:12]}, scale {about['scale']}, seed {about['seed']}; {', '.join(subjects)}.",
        _LEGEND,
        "## Methods, each at its own strength",
        _rows(records, (ORIGIN, *GROUPS["methods"]), own),
        f"![What each method leaves of the concept, and what of the rest, over strength]({TRADE_OFF})",
        f"## Methods, at the strongest factor within the budget\nA cosine of {BUDGET:g} or more of `keep` and unrelated prompts "
        "in the validation, whose scenes are not those of the test. Where no factor is within it, nothing is erased.",
        _rows(records, GROUPS["methods"], within_budget),
    ]
    for title, names in (("One change at a time to `clear`", GROUPS["ablations"]), ("Every block by hand", GROUPS["blocks"])):
        made = {record["subject"] for record in records if record["variant"] in names}
        if made:
            among = [subject for subject in subjects if subject in made]
            beside = ("clear", "project") if names == GROUPS["blocks"] else ("clear", "clear-block-3")
            shown = (*beside, *names)
            parts += [f"## {title}\nOf {', '.join(among)}; own strength.", _rows(records, shown, own, among)]
            parts += [f"Within the budget ({BUDGET:g}):", _rows(records, shown, within_budget, among)]
    parts += ["## `clear`, subject by subject", _by_subject(records), "## What each block holds", _by_block(records)]
    parts += [f"![The search of `clear`: the course of p, and L_con and probe errors by block]({SEARCHES})"]
    return "\n\n".join(parts) + "\n"


def _rows(records: Sequence[Record], variants: Iterable[str], pick: Pick, among: Sequence[str] | None = None) -> str:
    found = [one for variant in variants if (one := row(variant, records, pick, among)) is not None]
    return table(_HEAD, [_cells(one) for one in found])


def _cells(one: Row) -> list[str]:
    name = one.variant if one.acting in (0, one.subjects) else f"{one.variant} ({one.acting} of {one.subjects})"
    reads = {cell: _share(one.read[cell]) for cell in CELLS}
    fresh = "" if one.recoverable is None else _share(one.recoverable)
    layers = " ".join(f"{layer}:{count}" for layer, count in one.layers.items())
    return [
        name, _interval(one.left), *(reads[cell] for cell in CONCEPT), _interval(one.kept),
        *(reads[cell] for cell in CELLS if cell not in CONCEPT), _share(one.cosine_near), _share(one.cosine_unrelated),
        _share(one.change_unrelated), fresh, ", ".join(f"{value:.3g}" for value in one.strength), layers,
    ]  # fmt: skip


def _by_subject(records: Sequence[Record]) -> str:
    origins = {record["subject"]: record for record in records if record["variant"] == ORIGIN}
    lines = []
    for record in records:
        if record["variant"] != "clear":
            continue
        before, after = origins[record["subject"]]["points"][0], own(record)
        assert after is not None  # noqa: S101 every variant is measured at its own strength
        reads = [f"{before['test'][cell]['read']:.0%} → {after['test'][cell]['read']:.0%}" for cell in CELLS]
        alarms = origins[record["subject"]]["false_alarms"]
        fresh = f"{before['recoverable']:.2f} → {after['recoverable']:.2f}"
        near = fmean(after["test"][cell]["cosine"] for cell in ("keep", "neighbours"))
        reached = "" if record["reached"] else " (not reached)"
        lines.append(
            [
                record["subject"],
                str(record["layer"]),
                f"{record['strength']:g}{reached}",
                *reads,
                f"{near:.2f}",
                fresh,
                f"{alarms:.0%}",
            ]
        )
    head = ("subject", "block", "γ", *CELLS, "cosine near", "recoverable", "false alarms before")
    return table(head, lines)


def _by_block(records: Sequence[Record]) -> str:
    """Means over subjects; what the search chose, and L_con as its last SAE sees it."""
    searched = [record for record in records if record["variant"] == "clear" and "scan_l_con" in record["search"]]
    origins = [record for record in records if record["variant"] == ORIGIN]
    layers = len(origins[0]["block_errors"])
    measures: list[tuple[str, Callable[[int], str]]] = [
        ("probe error, new scenes", lambda layer: f"{fmean(one['block_errors'][layer] for one in origins):.3f}")
    ]
    if searched:
        chosen = Counter(record["layer"] for record in searched)
        scanned = Counter(record["search"]["scan_layer"] for record in searched)
        measures += [
            (
                "probe error, training pairs",
                lambda layer: f"{fmean(one['search']['probe_error'][layer] for one in searched):.3f}",
            ),
            ("L_con after the search", lambda layer: f"{fmean(one['search']['scan_l_con'][layer] for one in searched):.3f}"),
            ("smallest L_con (subjects)", lambda layer: str(scanned[layer])),
            ("searched (subjects)", lambda layer: str(chosen[layer])),
            ("last p", lambda layer: f"{fmean(one['search']['trajectory'][-1]['p'][layer] for one in searched):.2f}"),
        ]
    return table(("", *map(str, range(layers))), [[name, *map(value, range(layers))] for name, value in measures])


def _share(value: float) -> str:
    return f"{value:.2f}"


def _interval(interval: Interval) -> str:
    return f"{interval.value:.2f} ({interval.low:.2f} to {interval.high:.2f})"
