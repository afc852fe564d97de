"""`python -m workers.suite --out DIR`: films, and writes cells.jsonl, report.json, report.md and curve.png there."""

from __future__ import annotations

import argparse
import os
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

from rich.progress import Progress

from workers.miniature.vocabulary import CONCEPTS, PAPER_TEN, STYLES
from workers.suite.cells import ORIGIN, Journal, Measured
from workers.suite.film import Job, film_job, open_studio
from workers.suite.results import write
from workers.suite.variants import DEFAULT, VARIANTS


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m workers.suite", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="a directory; a suite that was stopped goes on there")
    parser.add_argument("--concepts", nargs="+", choices=list(CONCEPTS), default=[*PAPER_TEN, *STYLES], metavar="CONCEPT")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=list(DEFAULT), metavar="VARIANT")
    which.add_argument("--ablations", action="store_const", dest="variants", const=list(VARIANTS), help="everything there is")
    parser.add_argument("--clips", type=int, default=30, help="in each cell; those that were filmed before count")
    parser.add_argument("--own-strength", action="store_true", help="leave out the other points of the trade-off curve")
    parser.add_argument("--seed", type=int, default=1, help="of prompts and noise")
    parser.add_argument(
        "--training-seed", type=int, default=0, help="of the erasers; other than --seed, so that no prompt is both"
    )
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    if options.clips < 1:
        parser.error("--clips must be 1 or more")
    if options.seed == options.training_seed:
        parser.error("--seed and --training-seed must differ: prompts that were trained on measure nothing")
    suite: dict[str, object] = {
        "model": "miniature",
        "seed": options.seed,
        "training_seed": options.training_seed,
    }
    try:
        journal = Journal(options.out, suite)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    filmed: dict[tuple[str, str], dict[tuple[float, str], Measured]] = defaultdict(dict)
    for one in journal.measured:
        filmed[one.concept, one.variant][one.factor, one.cell] = one
    jobs = [
        Job(concept, variant, options.clips, options.own_strength, filmed[concept, variant])
        for variant in (ORIGIN, *options.variants)
        for concept in options.concepts
    ]
    arguments = ("miniature", options.out, options.seed, options.training_seed)
    with (
        ProcessPoolExecutor(options.processes, get_context("spawn"), initializer=open_studio, initargs=arguments) as pool,
        Progress() as progress,
    ):
        bar = progress.add_task("erasers filmed", total=len(jobs))
        try:
            for done in as_completed([pool.submit(film_job, job) for job in jobs]):
                journal.add(done.result())
                progress.advance(bar)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # what is kept is kept; the rest would run for hours
            raise
    write(options.out, page=options.out / "report.md", beside=options.out)


if __name__ == "__main__":
    main()
