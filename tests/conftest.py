"""Markers by folder: what lies in tests/gpu needs an accelerator, what lies in tests/integration and tests/chaos is slow."""

from __future__ import annotations

from pathlib import Path

import pytest

_MARKERS = {"gpu": pytest.mark.gpu, "integration": pytest.mark.slow, "chaos": pytest.mark.slow}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if marker := _MARKERS.get(item.path.relative_to(here).parts[0]):
            item.add_marker(marker)
