"""What must hold after everything that can happen: one function, which every test of this folder calls.

accepted      every request that was answered with 202 is a job, and there is no other: nothing lost, nothing made twice
ended         within the stated time, as succeeded, failed with a code that the test expects, or canceled
once          one terminal transition in the audit log, one receipt, in the folder of the attempt that SQL names
erased        a success lists exactly the erasers that were asked for, by digest and strength; what names the concept was edited
whole         the video that is served is the one that receipt and audit log name by hash
on record     the audit log's chain of hashes is whole
idempotent    the same request under the same key gets the first job, still
"""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

import erasers
from service.domain import chain
from service.domain.states import TERMINAL
from service.schemas.generations import Plan
from service.store import audit
from service.store.models import AuditEntry, EraserVersion, Job
from tests.chaos.customer import Customer
from tests.chaos.plant import LEASE_SECONDS, LOST_AFTER_SECONDS, READY_SECONDS, SWEEP_SECONDS, Plant
from workers.contract import MAX_ATTEMPTS, Receipt, TrainingResult, eraser_key, receipt_key, training_result_key

SECONDS_A_JOB = 4.0
"""What one job may take on a machine that does other things; they take a tenth of it."""


def bound_seconds(jobs: int) -> float:
    """Counted from when nothing is broken any more. A job may lose its worker as often as it has attempts, each loss is found
    by lease, patience and sweep, and a worker that was killed must load its model; the rest is work."""
    found_in = LEASE_SECONDS + LOST_AFTER_SECONDS + 2 * SWEEP_SECONDS
    return READY_SECONDS + MAX_ATTEMPTS * found_in + jobs * SECONDS_A_JOB


def until_all_ended(plant: Plant, *, within_seconds: float) -> float:
    """How long it took. Fails when it takes longer."""
    started = time.monotonic()
    with plant.database() as database:

        def all_ended() -> bool:
            with database.read() as session:
                return not session.scalar(select(Job.id).where(Job.status.not_in(TERMINAL)).limit(1))

        plant.wait(all_ended, within_seconds, "every accepted job has ended")
    return time.monotonic() - started


def check(plant: Plant, customer: Customer, *, may_fail: Collection[str] = ()) -> Counter[str]:
    """How the jobs ended, by status and code; asked when every part is up again. `may_fail` are the failure codes that the
    test's blows explain."""
    plant.until_ready()
    with plant.database() as database, database.read() as session:
        jobs = {job.id: job for job in session.scalars(select(Job))}
        versions = {f"{row.concept}@{row.version}": row for row in session.scalars(select(EraserVersion))}
        entries = session.scalars(select(AuditEntry).order_by(AuditEntry.sequence)).all()
        head = audit.head(session)
    faults = [*_accepted(customer, jobs, versions), *_chain(entries, head)]
    settled = Counter(_job_of(entry) for entry in entries if entry.action.endswith(".settled"))
    told = {_job_of(entry): entry.details for entry in entries if entry.action.endswith(".settled")}
    for job in jobs.values():
        faults += [f"{job.id}: {fault}" for fault in _one(plant, customer, job, settled[job.id], told.get(job.id, {}))]
        if job.status == "failed" and job.error_code not in may_fail:
            faults.append(f"{job.id}: failed with {job.error_code}: {job.error_message}")
    wanted = {accepted.id for accepted in customer.accepted.values() if accepted.canceled}
    if (found := {job.id for job in jobs.values() if job.status == "canceled"}) != wanted:
        faults.append(f"canceled are {found - wanted} that nobody cancelled, and not {wanted - found} that somebody did")
    faults += _idempotent(customer)
    with plant.database() as database, database.read() as session:
        if (now := _count(session)) != len(jobs):
            faults.append(f"sending again made {now - len(jobs)} jobs more")
    assert not faults, "\n".join([f"{len(faults)} faults:", *faults[:40], plant.logs()])
    return Counter(job.status if job.error_code is None else f"{job.status}: {job.error_code}" for job in jobs.values())


def _accepted(customer: Customer, jobs: dict[str, Job], versions: dict[str, EraserVersion]) -> list[str]:
    named = {name: row.job_id for name, row in versions.items()}
    known = [named.get(accepted.id) if "@" in accepted.id else accepted.id for accepted in customer.accepted.values()]
    faults = [f"{name}: accepted, and there is no such job" for name in known if name not in jobs]
    faults += [f"{name}: a job that nobody's request made" for name in jobs.keys() - set(known)]
    return faults + [f"{name}: two requests made one job" for name, count in Counter(known).items() if count > 1]


def _chain(entries: Any, head: chain.Head) -> list[str]:
    rows = [{name: getattr(entry, name) for name in (*chain.FIELDS, "sha256")} for entry in entries]
    try:
        chain.verify([{"data": rows, "head": {"sequence": head.sequence, "sha256": head.sha256}}])
    except chain.ChainBroken as broken:
        return [str(broken)]
    return []


def _one(plant: Plant, customer: Customer, job: Job, settled: int, told: dict[str, Any]) -> list[str]:
    if job.status not in TERMINAL:
        return [f"is still {job.status}, attempt {job.attempt}"]
    faults = []
    if settled != 1:
        faults.append(f"ended {settled} times according to the audit log")
    if (told.get("status"), told.get("attempt"), told.get("error")) != (job.status, job.attempt, job.error_code):
        faults.append(f"the audit log tells of another end: {told}")
    if not 1 <= job.attempt <= MAX_ATTEMPTS:
        faults.append(f"attempt {job.attempt}")
    published = _published(plant, job)
    if job.status != "succeeded":
        if job.status == "failed" and job.attempt in published:
            faults.append("failed, and its last attempt published a result")
        return faults
    if published != [job.attempt]:
        faults.append(f"succeeded with attempt {job.attempt}; published were {published}")
    look = _generation if job.kind == "generate" else _training
    return faults + look(plant, customer, job, told)


def _published(plant: Plant, job: Job) -> list[int]:
    key = receipt_key if job.kind == "generate" else training_result_key
    return [attempt for attempt in range(1, MAX_ATTEMPTS + 2) if plant.store().exists(key(job.id, attempt))]


def _generation(plant: Plant, customer: Customer, job: Job, told: dict[str, Any]) -> list[str]:
    answer = customer.get(f"/generations/{job.id}/receipt")
    video = customer.get(f"/generations/{job.id}/video")
    if not (answer.is_success and video.is_success):
        return [f"its receipt and video are not served: {answer.text} {video.status_code}"]
    receipt = Receipt.model_validate(answer.json())
    stored = Receipt.model_validate_json(plant.store().get(receipt_key(job.id, job.attempt)))
    requests = {accepted.id: accepted.order.request for accepted in customer.accepted.values()}
    faults = _receipt(job, receipt, stored, requests[job.id]) if job.id in requests else []
    return [*faults, *_bytes(receipt, video.content, told)]


def _receipt(job: Job, receipt: Receipt, stored: Receipt, request: dict[str, Any]) -> list[str]:
    faults = [] if receipt == stored else ["the receipt that is served is not the one in the store"]
    pinned = {eraser.concept: eraser for eraser in Plan.model_validate(job.plan).erase}
    asked = {item if isinstance(item, str) else item["concept"]: item for item in request["erase"]}
    acted = {use.concept: use for use in receipt.erasers}
    if not asked.keys() == pinned.keys() == acted.keys():
        return [*faults, f"asked for {sorted(asked)}, pinned {sorted(pinned)}, acted {sorted(acted)}"]
    for concept, item in asked.items():
        use, pin = acted[concept], pinned[concept]
        if (use.digest, use.version, round(use.strength, 4)) != (pin.digest, pin.version, round(pin.strength, 4)):
            faults.append(f"the eraser of {concept} that acted is not the one that was pinned")
        if isinstance(item, dict) and use.strength != item["strength"]:
            faults.append(f"{concept}: strength {use.strength} where {item['strength']} was asked for")
        if concept in request["prompt"] and use.tokens_edited == 0:
            faults.append(f"the eraser of {concept} edited nothing of a prompt that names it")
    if receipt.prompt_sha256 != hashlib.sha256(request["prompt"].encode()).hexdigest() or receipt.seed != request["seed"]:
        faults.append("the receipt is for another prompt or seed")
    return faults


def _bytes(receipt: Receipt, video: bytes, told: dict[str, Any]) -> list[str]:
    found = hashlib.sha256(video).hexdigest()
    if not found == receipt.video_sha256 == told.get("video_sha256") or len(video) != receipt.video_bytes:
        return ["the video that is served is not the one that receipt and audit log name"]
    return []


def _training(plant: Plant, customer: Customer, job: Job, told: dict[str, Any]) -> list[str]:
    store = plant.store()
    result = TrainingResult.model_validate_json(store.get(training_result_key(job.id, job.attempt)))
    shown = customer.get(f"/erasers/{result.concept}/{result.version}").json()
    faults = []
    if not shown["digest"] == result.digest == told.get("digest") or shown["status"] != "candidate":
        faults.append(f"the registry shows {shown['status']} {shown['digest']}, the result is {result.digest}")
    with tempfile.TemporaryDirectory() as copy:
        for name in ("eraser.safetensors", "config.json"):
            Path(copy, name).write_bytes(store.get(eraser_key(result.digest, name)))
        eraser = erasers.load(copy, expected_digest=result.digest)  # raises where one bit is another
    if eraser.concept != job.plan["concept"]:
        faults.append(f"the eraser takes out {eraser.concept}")
    return faults


def _idempotent(customer: Customer) -> list[str]:
    faults = []
    for accepted in customer.accepted.values():
        again = customer.send_again(accepted.order)
        if again != (accepted.id, True):
            faults.append(f"{accepted.order.key}: sent again it is {again}, and was {accepted.id}")
    return faults


def _job_of(entry: AuditEntry) -> str:
    return str(entry.details.get("job", entry.subject))


def _count(session: Session) -> int:
    return len(session.scalars(select(Job.id)).all())
