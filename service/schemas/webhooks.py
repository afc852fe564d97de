"""Webhooks: what deliveries are signed with. What became of one is on its generation."""

from __future__ import annotations

from pydantic import Field

from service.schemas.base import ResponseBody


class WebhookSecret(ResponseBody):
    secret: str = Field(description="base64 behind `whsec_`", examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])
