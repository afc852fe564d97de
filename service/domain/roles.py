"""Who may do what: a `user` generates, and reads the registry; an `operator` may do everything."""

from __future__ import annotations

from typing import Literal

Role = Literal["user", "operator"]
