"""`tests/gpu/kit.sh`: what the models cost on this machine's GPU, measured in one command and written as JSON and Markdown."""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests.gpu.kit import markdown, plan
from tests.gpu.kit.record import Run
from tests.gpu.kit.supervise import supervise

RESULTS = Path(__file__).parent.parent / "results"
SECONDS = 530


def main() -> None:
    options = _parser().parse_args()
    if options.child is not None:
        _child(options)
        return
    options.out.mkdir(parents=True, exist_ok=True)
    began = time.time()
    with tempfile.TemporaryDirectory(prefix="clearway-kit-") as scratch:
        models = (options.models or Path(scratch)).absolute()
        given = {name: value for name, value in vars(options).items() if name in ("tiny", "seconds", "stages", "iterations")}
        path = options.out / "kit.json"
        Run(datetime.now(UTC).isoformat(timespec="seconds"), given).write(path)

        def command(stages: Sequence[str]) -> list[str]:
            words = [sys.executable, "-m", "tests.gpu.kit", "--child", str(path), "--models", str(models)]
            words += ["--out", str(options.out), "--iterations", str(options.iterations)]
            words += ["--seconds", str(began + options.seconds - time.time()), "--stages", *stages]
            return [*words, "--tiny"] if options.tiny else words

        run = supervise(path, options.stages, command=command, deadline=began + options.seconds)
    run.seconds = time.time() - began
    run.write(path)
    name = re.sub(r"[^a-z0-9]+", "-", str(run.device.get("name", "no device")).lower()).strip("-")
    final = options.out / f"{name}-{run.started[:10]}.json"
    path.rename(final)
    final.with_suffix(".md").write_text(markdown.render(run))
    sys.stdout.write(f"{final}\n")


def _child(options: argparse.Namespace) -> None:
    from tests.gpu.kit.bench import Bench
    from tests.gpu.kit.scale import FULL, TINY
    from tests.gpu.kit.stages import run_stages

    bench = Bench(
        scale=TINY if options.tiny else FULL,
        models=options.models,
        out=options.out,
        iterations=options.iterations,
        deadline=time.time() + options.seconds,
    )
    run_stages(bench, options.stages, options.child)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tests/gpu/kit.sh", description=(__doc__ or "").partition(": ")[2])
    stages = "in this order; default all but search-…: " + ", ".join(plan.SECONDS)
    parser.add_argument("--out", type=Path, default=RESULTS, help="directory of the results (default tests/gpu/results)")
    parser.add_argument("--models", type=Path, help="directory for the models, 37 GB; kept. Default: a temporary one")
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"time for everything (default {SECONDS})")
    parser.add_argument("--stages", nargs="+", choices=plan.SECONDS, default=plan.BY_DEFAULT, metavar="STAGE", help=stages)
    parser.add_argument("--iterations", type=int, default=2500, help="of a training; fewer than 2,500 are extrapolated")
    parser.add_argument("--tiny", action="store_true", help="tiny models on the CPU")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    main()
