"""What is looked for in the frames of a request, and by whom. The worker looks; here it is promised, or the request refused.

Asked for by the request, or by a policy of its key, for all concepts that are erased. Who can look is what the model's
workers have told; whoever has not told can look for nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from service.errors import RequestError, StateError
from service.policies.binding import Binding
from service.schemas.generations import PlannedCheck


@dataclass(frozen=True)
class Lookout:
    """Who can look at the frames of one model, and what they may see."""

    detectors: Mapping[str, str]
    """By the name of the concept."""
    max_share: float


def checks(concepts: Sequence[str], lookout: Lookout, *, requested: bool, binding: Binding) -> list[PlannedCheck]:
    """One per concept, in order; none where nobody asks. Raises `not_verifiable`, or `policy_unsatisfied` where it is a policy
    that asks."""
    if not requested and not binding.rules.verify:
        return []
    unseen = [concept for concept in concepts if concept not in lookout.detectors]
    if not unseen:
        return [
            PlannedCheck(concept=concept, detector=lookout.detectors[concept], max_share=lookout.max_share)
            for concept in concepts
        ]
    message = f"no detector here can look for {', '.join(map(repr, unseen))} in frames: an operator sets CLEARWAY_DETECTORS"
    if binding.rules.verify:
        whose = binding.whose(lambda rules: rules.verify)
        raise StateError("policy_unsatisfied", f"{whose} has every generation verified: {message}")
    raise RequestError("not_verifiable", message, param="verify")
