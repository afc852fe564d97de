"""The video of a generation as a response."""

from __future__ import annotations

from fastapi import Response
from fastapi.responses import FileResponse

from service.errors import StateError, UnavailableError
from service.store.models import Job
from workers.artifacts import ArtifactMissing, ArtifactStore
from workers.contract import video_key


def video_response(store: ArtifactStore, job: Job) -> Response:
    """The MP4 of the attempt that succeeded; straight from its file where the store has one, which understands `Range`."""
    if job.status != "succeeded":
        raise StateError("not_finished", f"there is no video: generation {job.id} is {job.status}")
    key = video_key(job.id, job.attempt)
    headers = {
        "cache-control": "private, max-age=31536000, immutable",
        "content-disposition": f'inline; filename="{job.id}.mp4"',
    }
    path = store.local_path(key)
    if path is not None:
        return FileResponse(path, media_type="video/mp4", headers=headers)
    try:
        return Response(store.get(key), media_type="video/mp4", headers=headers)
    except ArtifactMissing:
        message = f"the video of generation {job.id} is not in the store any more"
        raise UnavailableError("artifact_unavailable", message) from None
