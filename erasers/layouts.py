"""Which tensors each method stores, and which parameters. Standard library only, so that a gateway can check an artifact by the
header of its tensor file; `erasers.checks` looks at the values.

Sizes are symbols: equal symbols are equal sizes, and `d_model` is the encoder's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from erasers.errors import ArtefactInvalid
from erasers.shown import short, short_list

Parameters = Mapping[str, Any]
Layout = dict[str, tuple[str, ...]]

MAX_MAGNITUDE = 1e7
"""Of a number that is a hidden state's or a score's, absolute. The largest activations of T5-XXL are near 1e5."""
PRESENCE_TENSOR = "presence"
"""Name of the tensor with which any method's artifact reads how strongly its concept is present: `erasers.presence`."""
STEERING_MODES = ("project", "shift", "leace")
_MAX_WORDS, _MAX_WORD_CHARACTERS = 256, 200


def layout(method: str, parameters: Parameters) -> Layout:
    """Names and symbolic shapes of a method's tensors. Raises ArtefactInvalid for parameters that the method does not have, and
    for a method that does not exist."""
    if method not in _LAYOUTS:
        raise ArtefactInvalid(f"there is no method {short(method)}; there are {', '.join(_LAYOUTS)}")
    return _LAYOUTS[method](parameters)


def check_shapes(
    method: str, parameters: Parameters, *, d_model: int, presence: bool, shapes: Mapping[str, tuple[int, ...]]
) -> None:
    """Raises ArtefactInvalid unless `shapes` are those of the method's layout for an encoder of width d_model, and of the reader
    of the concept where the artifact has one."""
    wanted = layout(method, parameters) | ({PRESENCE_TENSOR: ("d_model",)} if presence else {})
    if set(shapes) != set(wanted):
        raise ArtefactInvalid(f"a {method} eraser has tensors {short_list(sorted(wanted))}, not {short_list(sorted(shapes))}")
    sizes = {"d_model": d_model}
    for name, symbols in wanted.items():
        shape = shapes[name]
        sized = tuple(sizes.setdefault(symbol, size) for symbol, size in zip(symbols, shape, strict=False))
        if len(shape) != len(symbols) or shape != sized:
            raise ArtefactInvalid(f"tensor {name!r} must be ({', '.join(symbols)}) with {sizes}, got {short(shape)}")


def is_magnitude(value: Any) -> bool:
    return isinstance(value, float) and math.isfinite(value) and abs(value) <= MAX_MAGNITUDE


def _steering(parameters: Parameters) -> Layout:
    if set(parameters) != {"mode"} or parameters["mode"] not in STEERING_MODES:
        modes = ", ".join(map(repr, STEERING_MODES))
        raise ArtefactInvalid(f"parameters of steering must be a mode, one of {modes}, got {short(dict(parameters))}")
    names = ("direction", "mean_negative", *(("reader", "mean") if parameters["mode"] == "leace" else ()))
    return dict.fromkeys(names, ("d_model",))


def _clear(parameters: Parameters) -> Layout:
    found: Layout = {"W_enc": ("d_model", "d_sae"), "b_enc": ("d_sae",)}
    if _projects(parameters):
        found |= {"reader": ("d_sae",), "direction": ("d_model",)}
    else:
        found |= {"W_dec": ("d_sae", "d_model"), "b_dec": ("d_model",), "m_spec": ("d_sae",)}
    return found | ({"threshold": ("d_sae",)} if parameters["activation"] == "jumprelu" else {})


def _projects(parameters: Parameters) -> bool:
    rest = {name: value for name, value in parameters.items() if name != "activation"}
    if parameters.get("activation") not in ("relu", "jumprelu"):
        raise ArtefactInvalid(
            f"parameters of clear must have an activation, 'relu' or 'jumprelu', got {short(dict(parameters))}"
        )
    if not rest:
        return False
    if set(rest) == {"action", "offset"} and rest["action"] == "projection" and is_magnitude(rest["offset"]):
        return True
    must = "parameters of clear beside its activation are an action, 'projection', and its offset"
    raise ArtefactInvalid(f"{must}, got {short(rest)}")


def _hirm(parameters: Parameters) -> Layout:
    if parameters:
        raise ArtefactInvalid(f"hirm has no parameters, got {short(dict(parameters))}")
    matrices = {"up": ("d_model", "rank"), "down": ("d_inner", "rank")}
    return matrices | {"direction": ("d_model",), "mean_negative": ("d_model",)}


def _safree(parameters: Parameters) -> Layout:
    alpha: Any = parameters.get("alpha")
    if set(parameters) != {"alpha", "reference"} or not isinstance(parameters["reference"], bool):
        raise ArtefactInvalid(f"parameters of safree must be alpha and reference, true or false, got {short(dict(parameters))}")
    if not is_magnitude(alpha) or alpha < 0:
        raise ArtefactInvalid(f"alpha of safree must be a number, 0 or more, got {short(alpha)}")
    return {"basis": ("phrases", "d_model")}


def _negprompt(parameters: Parameters) -> Layout:
    words = parameters.get("words")
    if set(parameters) != {"words"} or not isinstance(words, list) or not 1 <= len(words) <= _MAX_WORDS:
        raise ArtefactInvalid(f"parameters of negprompt must be a list of words, got {short(dict(parameters))}")
    if not all(isinstance(word, str) and word.strip() and len(word) <= _MAX_WORD_CHARACTERS for word in words):
        raise ArtefactInvalid(f"words of negprompt must be text that is not empty, got {short(words)}")
    return {}


_LAYOUTS: dict[str, Callable[[Parameters], Layout]] = {
    "steering": _steering,
    "clear": _clear,
    "hirm": _hirm,
    "safree": _safree,
    "negprompt": _negprompt,
}
