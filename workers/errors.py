"""What can go wrong in a worker.

WorkerError
├── Cancelled               the client asked for it
├── LeaseLost               another attempt may run now; this one leaves no record
│   └── LeaseRefused        another worker already held the job
├── TaskRefused             the payload cannot be carried out as it is
│   ├── InvalidTask           written by another version, or malformed
│   ├── InvalidRequest        sizes or options that this model cannot work with
│   ├── PromptTooLong         more tokens than the encoder takes
│   ├── InvalidPairs          training pairs that cannot teach the concept
│   └── PairsUnavailable      nothing is configured that could write them
├── ErasureRefused          a requested erasure cannot be guaranteed
│   ├── EraserUnavailable     not in the store
│   ├── EraserCorrupt         not what was pinned
│   ├── EraserIncompatible    made for another text encoder
│   ├── EraserInactive        not proven to have run, or edited nothing of its concept
│   ├── ConceptNotReduced     measured: it is still in the prompt's embeddings
│   ├── NotVerifiable         nobody here can look for the concept
│   └── ConceptSeen           somebody looked, and it is there
├── ModelUnavailable        the model cannot be loaded, or is another one
├── DetectorUnavailable     what the settings about detectors name is not there, or cannot be used
└── UnusableOutput          the model made something that is no video

None of them crosses a process: `workers.failures` turns each into a record with a code and a message.
"""

from __future__ import annotations


class WorkerError(Exception):
    """Base of the tree above. The message is for the client: what, the value, the cure."""


class Cancelled(WorkerError):
    pass


class LeaseLost(WorkerError):
    pass


class LeaseRefused(LeaseLost):
    pass


class TaskRefused(WorkerError):
    pass


class InvalidTask(TaskRefused):
    pass


class InvalidRequest(TaskRefused):
    pass


class PromptTooLong(TaskRefused):
    def __init__(self, what: str, *, tokens: int, max_tokens: int) -> None:
        super().__init__(f"the {what} has {tokens} tokens and this model takes {max_tokens}: shorten it")


class InvalidPairs(TaskRefused):
    pass


class PairsUnavailable(TaskRefused):
    pass


class ErasureRefused(WorkerError):
    pass


class EraserUnavailable(ErasureRefused):
    pass


class EraserCorrupt(ErasureRefused):
    pass


class EraserIncompatible(ErasureRefused):
    pass


class EraserInactive(ErasureRefused):
    pass


class ConceptNotReduced(ErasureRefused):
    pass


class NotVerifiable(ErasureRefused):
    pass


class ConceptSeen(ErasureRefused):
    pass


class ModelUnavailable(WorkerError):
    pass


class DetectorUnavailable(WorkerError):
    pass


class UnusableOutput(WorkerError):
    pass
