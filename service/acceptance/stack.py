"""The stack of a request: what it asks for, joined with what its policies demand, each eraser pinned by digest, and each
fallback by its settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy.orm import Session

from service.acceptance.fallback import MISSING, SETTINGS, check_guidance, may_stand_in, stand_in
from service.erasers import aliases
from service.erasers.names import KINDS, how_to_train, unknown_concept
from service.errors import RequestError, ServiceError, StateError
from service.policies.binding import Binding, wish_of
from service.policies.policy import Rules, Wish, merge
from service.schemas.generations import AppliedEraser, AppliedFallback, GenerateRequest
from service.store import erasers
from service.store.models import EraserVersion
from workers.contract import ModelCard

MAX_STRENGTH_MULTIPLE = 2.0
"""The most that a request may ask for, as a multiple of a version's own strength, where no policy says otherwise."""

Applied = AppliedEraser | AppliedFallback
Asked = Mapping[str, tuple[str, float | None]]
"""By concept: the field of the request that names it, and the strength that it asks for."""


class Stack(NamedTuple):
    """Each in the order of concepts, of which none is in both."""

    erase: list[AppliedEraser]
    fallbacks: list[AppliedFallback]


def resolve(session: Session, request: GenerateRequest, card: ModelCard, *, guidance_scale: float, binding: Binding) -> Stack:
    """The canonical stack of a request. Where its `erase` is None, the defaults of its policies hold.

    An alias is its concept from here on. Raises for a concept that is unknown, not active, or of another encoder, unless
    something may stand in, and for an eraser that this guidance leaves without effect. What policies demand is looked at first
    and by itself, so that it is clear whose fault it is.
    """
    erase = None if request.erase is None else aliases.resolve(session, request.erase, param="erase")

    demanded = _demanded(binding.rules, request)
    wishes = merge((wish_of(item, request.on_missing) for item in erase or ()), demanded)
    registered = erasers.of_concepts(session, [wish.concept for wish in wishes])
    mandatory = {wish.concept for wish in binding.rules.mandatory}
    asked = {item.concept: (f"erase[{index}]", item.strength) for index, item in enumerate(erase or ())}
    if not request.allow_not_reduced:
        _check_not_0(asked)

    def pin(wish: Wish, param: str | None = None) -> AppliedEraser | AppliedFallback:
        must_reduce = wish.concept in mandatory or not request.allow_not_reduced
        try:
            if wish.concept not in registered:
                raise unknown_concept(session, wish.concept, param)
            row = _version(registered[wish.concept], wish, card, param)
            return _pin(row, wish, card, guidance_scale, must_reduce, param)
        except ServiceError as refusal:
            if not may_stand_in(wish, refusal.code):
                raise
        return stand_in(wish, guidance_scale=guidance_scale, must_reduce=must_reduce, param=param)

    def pin_demanded(wish: Wish) -> AppliedEraser | AppliedFallback:
        try:
            return pin(wish)
        except ServiceError as error:
            whose = binding.whose(lambda rules: any(other.concept == wish.concept for other in _demanded(rules, request)))
            raise _refusal(wish, whose, error) from error

    pinned = _pin_each(demanded, pin_demanded, where=" of the policy")
    positions = {concept: param for concept, (param, _) in asked.items()}
    own = sorted((wish for wish in wishes if wish not in pinned), key=lambda wish: list(positions).index(wish.concept))
    pinned |= _pin_each(own, lambda wish: pin(wish, positions[wish.concept]), where="")
    acting = [pinned[wish] for wish in wishes]
    _check_multiple(acting, registered, asked, binding.rules.max_strength_multiple)
    return Stack(
        [one for one in acting if isinstance(one, AppliedEraser)], [one for one in acting if isinstance(one, AppliedFallback)]
    )


def _pin_each(wishes: Sequence[Wish], pin: Callable[[Wish], Applied], *, where: str) -> dict[Wish, Applied]:
    """Raises once for all wishes that no eraser fulfils, with the ways on. `where` says whose `on_missing` is meant."""
    pinned: dict[Wish, Applied] = {}
    refused: dict[Wish, ServiceError] = {}
    for wish in wishes:
        try:
            pinned[wish] = pin(wish)
        except ServiceError as refusal:
            if not _is_missing(refusal):
                raise
            refused[wish] = refusal
    if refused:
        raise _all_missing(refused, where)
    return pinned


def _is_missing(refusal: ServiceError) -> bool:
    """Whether an eraser is missing; where a policy demands it, the reason is the cause of the refusal."""
    reason = refusal.__cause__ if isinstance(refusal.__cause__, ServiceError) else refusal
    return reason.code in MISSING


def _all_missing(refused: Mapping[Wish, ServiceError], where: str) -> ServiceError:
    """The refusals as one. Its code and field are those of the first."""
    first = next(iter(refused.values()))
    message = "; ".join(refusal.message for refusal in refused.values())
    if len(refused) > 1:
        message = f"{len(refused)} concepts have no eraser that can act: {message}"
    ways = [f"`kind` is one of {KINDS}", "an eraser from elsewhere is imported with POST /erasers/import"]
    if any(not wish.versions for wish in refused):
        methods = " or ".join(f'"{method}"' for method in SETTINGS)
        ways.append(f'"on_missing"{where} set to {methods} lets a method without training stand in; "refuse" is the default')
    return type(first)(first.code, f"{message}. Ways on: {'; '.join(ways)}", param=first.param)


def _check_not_0(asked: Asked) -> None:
    for concept, (param, strength) in asked.items():
        if strength == 0:
            message = f"a strength of 0 erases nothing: leave {concept!r} out, give a strength, or set allow_not_reduced"
            raise RequestError("invalid_strength", message, param=f"{param}.strength")


def _check_multiple(
    acting: Sequence[AppliedEraser | AppliedFallback],
    registered: Mapping[str, Sequence[EraserVersion]],
    asked: Asked,
    policy: float | None,
) -> None:
    """An eraser that is far stronger than it was measured at moves embeddings to where nothing is known of any concept, and can
    bring back what another one took out. Policies may demand what they like: operators answer for it."""
    multiple = MAX_STRENGTH_MULTIPLE if policy is None else policy
    for one in acting:
        param, strength = asked.get(one.concept, (None, None))
        if strength is None or isinstance(one, AppliedFallback):
            continue
        (own,) = (row.strength or 0.0 for row in registered[one.concept] if row.version == one.version)
        if strength > multiple * own:
            message = (
                f"strength {strength:g} of {one.concept!r}: at most {multiple * own:g} is taken, {multiple:g} times the "
                f"{own:g} of version {one.version}; an operator may allow more by max_strength_multiple of a policy"
            )
            raise RequestError("invalid_strength", message, param=f"{param}.strength")


def _demanded(rules: Rules, request: GenerateRequest) -> tuple[Wish, ...]:
    return merge(rules.defaults if request.erase is None else (), rules.mandatory)


def _refusal(wish: Wish, whose: str, error: ServiceError) -> StateError:
    message = f"{whose} demands an eraser of {wish.concept!r}, and without it nothing is generated: {error.message}"
    return StateError("policy_unsatisfied", message)


def _pin(
    row: EraserVersion, wish: Wish, card: ModelCard, guidance_scale: float, must_reduce: bool, param: str | None
) -> AppliedEraser:
    if row.status != "active":
        raise StateError("eraser_not_active", _not_active(row), param=param)
    if row.encoder_fingerprint != card.encoder_fingerprint:
        raise _wrong_encoder(wish.concept, row, card, param)
    if row.digest is None or row.strength is None or row.layer is None:
        raise AssertionError(f"active version {row.id} without an artefact")
    check_guidance(f"the eraser of {row.concept!r}, version {row.version},", row.method, guidance_scale)
    strength = max(row.strength if strength is None else strength for strength in wish.strengths)
    if wish.enough:  # a policy may be older than the version
        strength = max(strength, row.minimum_strength or 0.0)
    return AppliedEraser(
        concept=row.concept,
        version=row.version,
        digest=row.digest,
        strength=strength,
        layer=row.layer,
        must_reduce=must_reduce,
    )


def _version(versions: Sequence[EraserVersion], wish: Wish, card: ModelCard, param: str | None) -> EraserVersion:
    """The version that is meant, in whatever state it is: the caller says what is wrong with it."""
    if wish.versions:
        wanted = _one_version(wish)
        for row in versions:
            if row.version == wanted:
                return row
        known = ", ".join(str(row.version) for row in reversed(versions))
        raise RequestError("unknown_version", f"{wish.concept!r} has no version {wanted}; it has {known}", param=param)
    active = [row for row in versions if row.status == "active"]
    fitting = [row for row in active if row.encoder_fingerprint == card.encoder_fingerprint]
    return (fitting or active or versions)[0]


def _one_version(wish: Wish) -> int:
    if len(wish.versions) > 1:
        versions = " and ".join(map(str, sorted(wish.versions)))
        raise StateError("policy_unsatisfied", f"versions {versions} are demanded at once, of which one can be active")
    (version,) = wish.versions
    return version


def _not_active(row: EraserVersion) -> str:
    cure = {
        "training": f"it is being trained: GET /erasers/{row.concept}/{row.version}/events tells when it is done",
        "candidate": f"an operator activates it: POST /erasers/{row.concept}/{row.version}/activate",
        "failed": f"its training failed; train a new version: {how_to_train(row.concept)}",
        "retired": "it was retired; name the concept without a version to get the active one",
        "active": "",
    }[row.status]
    return f"the eraser of {row.concept!r}, version {row.version}, is {row.status}, not active: {cure}"


def _wrong_encoder(concept: str, row: EraserVersion, card: ModelCard, param: str | None) -> StateError:
    return StateError(
        "eraser_wrong_encoder",
        f"the eraser of {concept!r}, version {row.version}, was made for the text encoder of {row.model!r}, not for that of "
        f"{card.id!r}; train one for it: {how_to_train(concept, model=card.id)}",
        param=param,
    )
