"""The control of `load`: a bare FastAPI application that checks the same body and puts it into an RQ queue. No key, no policy, no
eraser, no SQL, no log: what was accepted is lost with Redis."""

from __future__ import annotations

import os
from typing import Any

from fastapi import FastAPI
from redis import Redis
from rq import Queue, get_current_job
from rq.job import Job
from rq.serializers import JSONSerializer

from service.schemas.generations import GenerateRequest
from workers.contract import events_key

QUEUE = "control"
REDIS_URL = "CONTROL_REDIS_URL"

_WORDS = {"queued": "queued", "finished": "succeeded", "failed": "failed"}


def create_app() -> FastAPI:
    connection = Redis.from_url(os.environ[REDIS_URL])
    queue = Queue(QUEUE, connection=connection, serializer=JSONSerializer)
    app = FastAPI()

    @app.post("/generate", status_code=202)
    def generate(request: GenerateRequest) -> dict[str, Any]:
        job = queue.enqueue(run, request.model_dump(mode="json"))
        return {"id": job.id, "status": "queued"}

    @app.get("/generations/{id}")
    def generation(id: str) -> dict[str, Any]:  # noqa: A002
        job = Job.fetch(id, connection=connection, serializer=JSONSerializer)
        return {"id": job.id, "status": _WORDS.get(job.get_status(), "running"), "request": job.args[0]}

    return app


def run(request: dict[str, Any]) -> None:
    """The work: says that it started, as a worker of Clearway does."""
    job = get_current_job()
    assert job is not None
    job.connection.xadd(events_key(job.id), {"event": "started"})
