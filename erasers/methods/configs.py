"""The methods' names and configs, without the methods: free of torch, so that a gateway checks a config as a trainer does."""

from __future__ import annotations

from collections.abc import Mapping

from erasers.errors import ConfigError
from erasers.methods.clear_config import ClearConfig
from erasers.methods.config import MethodConfig, config_of
from erasers.methods.hirm_config import HirmConfig
from erasers.methods.negprompt_config import NegPromptConfig
from erasers.methods.safree_config import SafreeConfig
from erasers.methods.steering_config import SteeringConfig
from erasers.options import near_misses
from erasers.shown import short

__all__ = ["CONFIGS", "DEFAULT", "MethodConfig", "check_name", "config_of"]

CONFIGS: Mapping[str, type[MethodConfig]] = {
    "steering": SteeringConfig,
    "clear": ClearConfig,
    "hirm": HirmConfig,
    "safree": SafreeConfig,
    "negprompt": NegPromptConfig,
}
DEFAULT = "steering"
"""With its default mode, `project`: LOG.md, 2026-11-27, has what that was decided by."""


def check_name(name: str) -> None:
    """Raises ConfigError for a name that no method has, with the one that may be meant."""
    if name not in CONFIGS:
        near = near_misses(name, CONFIGS, 1)
        hint = f"{near} " if near else ""
        raise ConfigError(f"there is no method {short(name)}; {hint}there are {', '.join(CONFIGS)}", option="method")
