"""Where an encoder runs and what its weights are, also while accelerate or diffusers keep the weights elsewhere.

accelerate (`cpu_offload`, `disk_offload`, `dispatch_model`, `cpu_offload_with_hook`; diffusers' `enable_model_cpu_offload` and
`enable_sequential_cpu_offload` use these) leaves weights without values on the meta device and keeps a map of the values in a
hook on each module. diffusers' group offloading keeps the values in the weights, on another device, or on disk, where they
cannot be read. Neither library is imported here: their hooks are recognised by the attributes that they set.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from erasers.errors import EncoderError

_CURE = (
    "call `erasers.fingerprint` before offloading and give it to `attach` as fingerprint=, "
    "or remove the offloading (accelerate.hooks.remove_hook_from_submodules) and move the encoder to a device"
)


def device(text_encoder: nn.Module) -> torch.device:
    """The device that the encoder runs on, which is not always the one its weights lie on."""
    for module in text_encoder.modules():
        for hook in _accelerate_hooks(module):
            if (found := getattr(hook, "execution_device", None)) is not None:
                return torch.device(found)
        if (group := _group_offloading(module)) is not None:
            return torch.device(group.onload_device)
    found = next(text_encoder.parameters()).device
    if found.type == "meta":
        raise EncoderError(f"the weights of this {type(text_encoder).__name__} have no values: load them before use")
    return found


def weights(text_encoder: nn.Module) -> dict[str, Tensor]:
    """`state_dict()` with the values of weights that are offloaded. Raises EncoderError for values that cannot be read."""
    for name, module in text_encoder.named_modules():
        if getattr(_group_offloading(module), "offload_to_disk_path", None):
            raise EncoderError(f"the weights of {name or 'the encoder'} are on disk by diffusers' group offloading; {_CURE}")
    found: dict[str, Tensor] = text_encoder.state_dict()
    offloaded = {name for name, weight in found.items() if isinstance(weight, Tensor) and weight.is_meta}
    return {name: _value(text_encoder, name) if name in offloaded else weight for name, weight in found.items()}


def weight_of(text_encoder: nn.Module, module: nn.Module) -> Tensor:
    """The value of `module.weight`, for a module of the encoder."""
    weight: Tensor = module.get_parameter("weight")
    if not weight.is_meta:
        return weight.detach()
    return _value(text_encoder, next(f"{name}.weight" for name, found in text_encoder.named_modules() if found is module))


def _value(text_encoder: nn.Module, name: str) -> Tensor:
    """From the map of the module that holds the weight, or of one above it."""
    parts = name.split(".")
    for depth in range(len(parts) - 1, -1, -1):
        for hook in _accelerate_hooks(text_encoder.get_submodule(".".join(parts[:depth]))):
            values = getattr(hook, "weights_map", None)
            if values is None:
                continue
            try:
                value: Tensor | None = values[".".join(parts[depth:])]
            except KeyError:
                continue
            if value is not None and not value.is_meta:
                return value.detach()
    raise EncoderError(f"weight {name!r} is on the meta device and no offloading hook has its value; {_CURE}")


def _accelerate_hooks(module: nn.Module) -> Iterator[Any]:
    hook = getattr(module, "_hf_hook", None)
    if hook is not None:
        yield from getattr(hook, "hooks", [hook])  # a SequentialHook has several


def _group_offloading(module: nn.Module) -> Any | None:
    """The group of weights that diffusers moves together with this module's."""
    registry: Any = getattr(module, "_diffusers_hook", None)
    return getattr(registry and registry.get_hook("group_offloading"), "group", None)
