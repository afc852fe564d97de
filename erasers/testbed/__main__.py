"""`python -m erasers.testbed --out DIR`: writes RESULTS.md, results.json and two pictures there."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from rich.progress import Progress

from erasers.errors import EraserError
from erasers.testbed.results import write
from erasers.testbed.run import run
from erasers.testbed.subjects import subjects
from erasers.testbed.variants import GROUPS, VARIANTS


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m erasers.testbed", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="a directory; a run that was stopped goes on there")
    parser.add_argument("--concepts", nargs="+", choices=list(subjects()), default=list(subjects()), metavar="CONCEPT")
    parser.add_argument(
        "--variants",
        nargs="+",
        choices=[*GROUPS, *VARIANTS],
        default=["methods"],
        metavar="VARIANT",
        help=f"names, or groups: {', '.join(GROUPS)}",
    )
    parser.add_argument("--quick", action="store_true", help="few prompts, CLEAR hardly trained: whether it runs, not what wins")
    parser.add_argument("--seed", type=int, default=0, help="of scenes and trainings")
    parser.add_argument("--threads", type=int, default=1, help="of torch; the numbers are the same for the same one")
    options = parser.parse_args()
    if options.threads < 1:
        parser.error("--threads must be 1 or more")
    torch.set_num_threads(options.threads)
    variants = dict.fromkeys(one for name in options.variants for one in GROUPS.get(name, (name,)))
    with Progress() as progress:
        bar = progress.add_task("erasers examined")
        try:
            records = run(
                options.out,
                scale="quick" if options.quick else "full",
                seed=options.seed,
                concepts=options.concepts,
                variants=list(variants),
                on_progress=lambda done, total: progress.update(bar, completed=done, total=total),
            )
        except (EraserError, OSError) as error:
            parser.error(str(error))
    write(options.out, records.run, records.everything())


if __name__ == "__main__":
    main()
