"""Options of steering."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from erasers.methods.config import MethodConfig

Mode = Literal["project", "shift", "leace"]


@dataclass(frozen=True, kw_only=True)
class SteeringConfig(MethodConfig):
    mode: Mode = "project"
