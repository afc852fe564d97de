"""Make a model, save it as its authors do, load it through the product's loader: seconds and peaks."""

from __future__ import annotations

from tests.gpu.kit.bench import GIB, Bench, Clock
from tests.gpu.kit.record import Findings, Value
from tests.gpu.kit.scale import Family


def load(bench: Bench, family: Family) -> Findings:
    bench.release()
    pipeline = bench.pipeline(family)
    files = list(bench.directory(family).rglob("*.safetensors"))
    rows: list[dict[str, Value]] = []
    if family in bench.making:
        rows.append(_row("make and save", bench.making[family]))
    rows.append(_row("load", bench.loading[family]))
    return Findings(
        figures={
            "files_gib": sum(file.stat().st_size for file in files) / GIB,
            "encoder_dtype": str(next(pipeline.text_encoder.parameters()).dtype),
            "fingerprint": pipeline.fingerprint[:12],
        },
        rows=rows,
        notes=[
            "load: from the directory to the device, as a worker loads it, with the files in the page cache or a tmpfs.",
            "host_gib: highest anonymous and shared memory of the process, pages of mapped files left out.",
        ],
    )


def _row(what: str, clock: Clock) -> dict[str, Value]:
    return {"what": what, "seconds": clock.seconds, "host_gib": clock.host_gib, "device_gib": clock.device_gib}
