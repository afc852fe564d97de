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
        "## The bundled erasers",
        "",
        "Scene kept: frames of prompts with the concept in which everything else that they ask for is there, relative to origin.",
        "",
        "| concept | method | block | γ | origin | erased | origin, synonyms | erased, synonyms | others kept | scene kept |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in report["erasers"].items():
        rates = ("origin_rate", "erased_rate", "synonym_origin_rate", "synonym_rate", "kept_rate", "scene_kept")
        shares = " | ".join(f"{row[key]:.0%}" for key in rates)
        lines.append(f"| {name} | {row['method']} | {row['layer']} | {row['strength']:.3g} | {shares} |")
    lines += _scenes(report["erasers"])
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


def _scenes(erasers: dict[str, Any]) -> list[str]:
    """What else the prompts with each concept asked for, part by part, and what stands where the concept was."""
    parts = ("background", "motion", "style", "objects")
    lines = [
        "",
        "### The rest of the same prompts",
        "",
        "Each part: kept, relative to origin, and of how many clips. Another object: frames in which the classifier names an",
        "object that the prompt does not, without and with the eraser. Something: frames, with the eraser, in which anything",
        "stands before the background where nothing is left to draw; most often a smear that the classifier has no name for.",
        "",
        "| concept | " + " | ".join(parts) + " | another object: origin → erased | something |",
        "|---" * (len(parts) + 3) + "|",
    ]
    for name, row in erasers.items():
        cells = [_part(row["scene_parts"].get(part)) for part in parts]
        cells += [f"{row['unrequested_origin_rate']:.0%} → {row['unrequested_rate']:.0%}", f"{row['residue_rate']:.0%}"]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def _part(numbers: dict[str, Any] | None) -> str:
    return "" if numbers is None or numbers["kept"] is None else f"{numbers['kept']:.0%} ({numbers['clips']})"
