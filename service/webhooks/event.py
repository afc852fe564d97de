"""What a webhook says of a generation that has ended: the same words at every attempt, and no words of the request.

The form is that of OpenAI's webhooks, so that their client reads and verifies it; `timestamp` is Standard Webhooks'.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime

from service.store.models import Job


def event_id(job: Job) -> str:
    """A generation ends once, so its event has its name: whoever gets it twice can tell."""
    return f"evt_{job.id.partition('_')[2]}"


def body(job: Job) -> bytes:
    """Of a job that has ended."""
    ended = job.finished_at or datetime.now(UTC)
    error = {"code": job.error_code, "message": job.error_message or ""} if job.error_code else None
    event = {
        "id": event_id(job),
        "object": "event",
        "type": f"generation.{job.status}",
        "created_at": int(ended.timestamp()),
        "timestamp": ended.isoformat(),
        "data": {"id": job.id, "status": job.status, "error": error, "metadata": job.labels},
    }
    return json.dumps(event, separators=(",", ":")).encode()
