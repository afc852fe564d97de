"""The metrics against their formulas, with CLIP and DINO of the published architecture, tiny and with random weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F
from transformers import CLIPConfig, CLIPModel

from erasers.errors import FramesError, WeightsError
from erasers.metrics.aesthetic import aesthetic_quality, load_head
from erasers.metrics.alignment import clipsim
from erasers.metrics.encoders import ClipEncoder, DinoEncoder
from erasers.metrics.motion import consistency, temporal_flickering
from erasers.metrics.pixels import CLIP, middle, to_pixels
from tests.metrics.tiny import save_clip, save_dino
from tests.pictures import photograph


@pytest.fixture(scope="module")
def clip_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def clip(clip_directory: Path) -> ClipEncoder:
    return ClipEncoder(clip_directory)


@pytest.fixture(scope="module")
def dino_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_dino(tmp_path_factory.mktemp("dino"))


def clip_of(*grey: int) -> np.ndarray:
    return np.stack([np.full((6, 8, 3), value, np.uint8) for value in grey])


def test_flickering_is_the_mean_change_of_neighbouring_frames() -> None:
    assert temporal_flickering(clip_of(7, 7, 7)) == 1
    assert temporal_flickering(clip_of(0, 255, 0)) == 0  # and no wrap-around of uint8
    assert temporal_flickering(clip_of(10, 20, 50)) == pytest.approx((255 - 20) / 255)
    with pytest.raises(FramesError, match="at least 2"):
        temporal_flickering(clip_of(1))


def test_consistency_compares_with_the_first_and_with_the_last_frame() -> None:
    x, y = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    assert consistency(torch.stack([x, x, x])) == 1
    assert consistency(torch.stack([x, y, y])) == pytest.approx((0 + (0 + 1) / 2) / 2)
    assert consistency(torch.stack([x, y, x])) == pytest.approx((0 + (1 + 0) / 2) / 2)
    assert consistency(torch.stack([x, -x])) == 0, "VBench lets no cosine count below 0"
    with pytest.raises(FramesError, match="at least 2"):
        consistency(x[None])


def test_a_grey_frame_is_a_grey_frame_for_clip_too() -> None:
    pixels = middle(to_pixels(np.full((2, 90, 160, 3), 51, np.uint8), 32, CLIP, mode="bicubic"), 32)
    assert pixels.shape == (2, 3, 32, 32)
    expected = (0.2 - torch.tensor(CLIP[0])) / torch.tensor(CLIP[1])
    assert torch.allclose(pixels, expected[:, None, None].expand_as(pixels), atol=1e-5)


def test_clip_features_are_the_models_own_and_of_length_1(clip: ClipEncoder, clip_directory: Path) -> None:
    frames = np.stack([photograph("coffee"), photograph("coffee")[:, ::-1]])
    features = clip.frames(frames)
    assert features.norm(dim=1) == pytest.approx(torch.ones(2), abs=1e-5)
    assert not torch.allclose(features[0], features[1], atol=1e-4)
    model = CLIPModel.from_pretrained(clip_directory).eval()
    with torch.no_grad():
        raw = model.get_image_features(middle(to_pixels(frames, 32, CLIP, mode="bicubic"), 32)).pooler_output
    assert torch.allclose(features, F.normalize(raw, dim=1), atol=1e-5)
    assert clipsim(features, features[0]) == pytest.approx((1 + float(features[0] @ features[1])) / 2, abs=1e-5)


def test_a_prompt_is_encoded_however_long_it_is(clip: ClipEncoder) -> None:
    short, long = clip.texts(["a parachute over the dunes", "a parachute over the dunes " * 40])
    assert short.norm() == pytest.approx(1, abs=1e-5)
    assert not torch.allclose(short, long)


def test_dino_keeps_the_shape_of_the_frames(dino_directory: Path) -> None:
    dino = DinoEncoder(dino_directory)
    wide = np.stack([photograph("rocket")] * 3)
    features = dino.frames(wide)
    assert consistency(features) == pytest.approx(1, abs=1e-5)
    changed = wide.copy()
    changed[:, :, -40:] = 255 - changed[:, :, -40:]  # outside the square in the middle
    assert not torch.allclose(dino.frames(changed), features, atol=1e-4)


def test_the_aesthetic_score_is_that_of_a_linear_head_over_ten(tmp_path: Path) -> None:
    weights = {"weight": torch.arange(4.0)[None], "bias": torch.tensor([2.0])}
    torch.save(weights, tmp_path / "head.pth")
    save_file(weights, tmp_path / "head.safetensors")
    features = torch.eye(4)[[1, 3]]
    for name in ("head.pth", "head.safetensors"):
        assert aesthetic_quality(features, load_head(tmp_path / name, 4)) == pytest.approx(((1 + 2) + (3 + 2)) / 2 / 10)
    with pytest.raises(WeightsError, match="for features of 768 numbers"):
        load_head(tmp_path / "head.pth", 768)


class Trap:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (Path("sprung"),)


def test_a_pickle_that_would_run_something_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"weight": Trap()}, tmp_path / "head.pth")
    with pytest.raises(WeightsError):
        load_head(tmp_path / "head.pth", 4)
    assert not (tmp_path / "sprung").exists()
    with pytest.raises(WeightsError):
        load_head(tmp_path / "nothing.safetensors", 4)


def test_a_directory_without_all_weights_is_refused(clip_directory: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no directory of a CLIPModel"):
        ClipEncoder(tmp_path)
    CLIPConfig.from_pretrained(clip_directory).save_pretrained(tmp_path)
    weights = load_file(clip_directory / "model.safetensors")
    weights.pop("visual_projection.weight")
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(WeightsError, match=r"lacks 1 weights, such as visual_projection\.weight"):
        ClipEncoder(tmp_path)
    with pytest.raises(WeightsError, match="holds no tokenizer"):
        ClipEncoder(_without_tokenizer(clip_directory, tmp_path / "bare")).texts(["x"])


def _without_tokenizer(directory: Path, bare: Path) -> Path:
    bare.mkdir()
    for name in ("config.json", "model.safetensors"):
        (bare / name).write_bytes((directory / name).read_bytes())
    return bare


def test_a_vit_is_no_clip(dino_directory: Path) -> None:
    with pytest.raises(WeightsError):
        ClipEncoder(dino_directory)
