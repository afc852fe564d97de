"""Weights that come inside packages: is the package here, and are they the ones that were measured?"""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path

from erasers.errors import PackageMissing, WeightsError


def package_directory(module: str, *, what: str, package: str, extra: str) -> Path:
    """Where an installed package lies; it is not imported. Raises `PackageMissing`, which names the extra."""
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise PackageMissing(what, package, extra)
    return Path(spec.origin).parent


def verified(path: Path, sha256: str) -> Path:
    """The path, if the file's bytes are the expected ones. Raises `WeightsError`."""
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(f"the weights {path} cannot be read: {error}") from error
    if found != sha256:
        raise WeightsError(f"{path} has sha256 {found}, not {sha256}: install the version of the package that is pinned")
    return path
