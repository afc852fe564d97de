"""Prompt pairs: with the concept, and the same without it. Free of torch, so that a gateway can check an upload."""

from erasers.pairs.chat import ChatPairs
from erasers.pairs.prompts import Pairs, Split
from erasers.pairs.templates import templates

__all__ = ["ChatPairs", "Pairs", "Split", "templates"]
