"""Everything the library raises on purpose.

EraserError
├── ConfigError            a recipe or an option that cannot be used            (also ValueError)
├── PairsError             prompt pairs that would train the wrong thing        (also ValueError)
├── PairSourceError        a source of pairs that yields none
├── ArtefactError          a directory that is not a usable eraser
│   ├── DigestMismatch     its bytes are not the bytes that were asked for
│   └── ArtefactInvalid    its bytes do not say what an eraser must say
├── EncoderError           a text encoder that cannot be worked with
│   ├── EncoderMismatch    the eraser was made for another text encoder
│   ├── HookTargetMissing  the module to be hooked does not exist
│   └── EraserBypassed     the encoder ran, and an eraser's hook did not
├── PromptTooLong          a prompt longer than the encoder takes               (also ValueError)
├── StackError             a set of erasers that cannot act together
├── CheckpointError        a checkpoint that belongs to another training
└── JudgeError             what judges frames, a detector or a metric, cannot be had or cannot judge
    ├── PackageMissing     it comes with a package that is not installed
    ├── WeightsError       its weights are missing, unreadable, or not the expected ones
    ├── ReferencesError    the pictures that say who is meant do not show one face each
    └── FramesError        an array that is not frames             (also ValueError)

Messages say what was found, its value, and what to do. Nothing here crosses a process boundary: a worker turns these
into records.
"""

from __future__ import annotations

from collections.abc import Sequence


class EraserError(Exception):
    """Base of what the library raises on purpose."""


class ConfigError(EraserError, ValueError):
    """An option is unknown, of the wrong type, or out of range. `option` is its name, where it is one option that is at fault."""

    def __init__(self, message: str, *, option: str | None = None) -> None:
        super().__init__(message)
        self.option = option


class PairsError(EraserError, ValueError):
    """Prompt pairs are unusable. `lines` holds one message per offending pair, with its 1-based line number."""

    def __init__(self, message: str, lines: Sequence[str] = ()) -> None:
        shown = "".join(f"\n  {line}" for line in lines[:_LINES_SHOWN])
        more = f"\n  … and {len(lines) - _LINES_SHOWN} more" if len(lines) > _LINES_SHOWN else ""
        super().__init__(message + shown + more)
        self.lines = tuple(lines)


class PairSourceError(EraserError):
    """A source of pairs cannot be reached, refuses, is of no use, or costs more than it may."""


class ArtefactError(EraserError):
    """A directory is not a usable eraser."""


class DigestMismatch(ArtefactError):
    """The bytes on disk are not the bytes that were asked for."""


class ArtefactInvalid(ArtefactError):
    """The bytes on disk do not describe an eraser: unknown key, wrong type, wrong shape, not finite."""


class EncoderError(EraserError):
    """A text encoder cannot be worked with."""


class EncoderMismatch(EncoderError):
    """The eraser was trained on another text encoder or tokenizer; its directions mean nothing in this one."""


class HookTargetMissing(EncoderError, LookupError):
    """The module to be hooked does not exist. An eraser that hooks nothing would silently erase nothing."""


class EraserBypassed(EncoderError):
    """A prompt was encoded, or should have been, without passing through every eraser of the stack."""


class PromptTooLong(EraserError, ValueError):
    """A prompt has more tokens than fit; cutting it off could cut the concept off."""


class StackError(EraserError):
    """These erasers cannot act together, or not here."""


class CheckpointError(EraserError):
    """A checkpoint is of another training, or unreadable."""


class JudgeError(EraserError):
    """A detector or a metric cannot be loaded, or cannot judge what it was given."""


class PackageMissing(JudgeError):
    def __init__(self, what: str, package: str, extra: str) -> None:
        super().__init__(f"{what} needs the package {package}, which is not installed: pip install 'clearway[{extra}]'")


class WeightsError(JudgeError):
    """Weights are not there, cannot be read, or are not those that were expected."""


class ReferencesError(JudgeError):
    """The reference pictures of a person cannot be used."""


class FramesError(JudgeError, ValueError):
    """Not an array of frames."""


_LINES_SHOWN = 20
