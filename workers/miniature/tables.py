"""The report of `measure` as Markdown. Nothing here measures."""

from __future__ import annotations

from typing import Any


def markdown(report: dict[str, Any]) -> str:
    """The report as Markdown."""
    machine, speed, means = report["machine"], report["speed"], report["origin_mean_of_ten"]
    lines = [
        "# The miniature, measured",
        "",
        "Written by `python -m workers.miniature.measure`; do not edit.",
        f"{report['clips_per_cell']} clips a cell, seed {report['seed']},",
        f"{machine['threads']} threads, torch {machine['torch']}.",
        "A rate is the share of frames in which the classifier sees what the prompt asks for.",
        "",
        f"One clip: {speed['seconds_per_clip_median']} s (median), peak memory {speed['peak_memory_mib']} MiB.",
        "",
        "## The classifier, per frame on fresh clips",
        "",
        "Exactly right: every subject that is there, and none that is not. Single: one subject, neither style nor fire.",
        "",
        "| clips | exact, single | exact, all | each subject | spoilt refused | style | fire | background | motion, per clip |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    names = ("single_exact", "subjects_exact", "subjects_each", "spoilt_refused", "style", "fire", "background", "motion")
    for label, row in report["classifier"].items():
        cells = (row[name] for name in names)
        lines.append(f"| {label.replace('_', ' ')} | " + " | ".join(f"{value:.1%}" for value in cells) + " |")
    lines += [
        "",
        "## Origin: what the model makes of a prompt",
        "",
        "| concept | plain | held-out synonyms | two objects |",
        "|---|---|---|---|",
    ]
    for name, row in report["origin"].items():
        lines.append(
            f"| {name} | " + " | ".join(f"{row[kind]:.0%}" if kind in row else "" for kind in ("plain", "synonym", "pair")) + " |"
        )
    lines.append("| **mean of the paper's ten** | " + " | ".join(f"**{means[kind]:.1%}**" for kind in means) + " |")
    lines += [
        "",
        "## The shipped erasers",
        "",
        "| concept | block | γ | origin | erased | origin, synonyms | erased, synonyms | others kept |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, row in report["erasers"].items():
        shares = [row[key] for key in ("origin_rate", "erased_rate", "synonym_origin_rate", "synonym_rate", "kept_rate")]
        lines.append(
            f"| {name} | {row['layer']} | {row['strength']:.3g} | " + " | ".join(f"{share:.0%}" for share in shares) + " |"
        )
    lines += [
        "",
        "## Two erasers at once",
        "",
        "| pair | " + "first: origin → erased | second: origin → erased | others: origin → kept |",
        "|---|---|---|---|",
    ]
    for name, row in report["stacked"].items():
        values = [f"{value:.0%}" for value in row.values()]
        lines.append(f"| {name} | " + " | ".join(f"{a} → {b}" for a, b in zip(values[::2], values[1::2], strict=True)) + " |")
    return "\n".join([*lines, ""])
