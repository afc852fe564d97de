"""An eraser comes out of the cache whole and right, or a typed error does."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import WanPipeline

import erasers
from tests.workers import tiny_models
from tests.workers.parts import lantern_pairs, pin, train_lantern
from workers.contract import eraser_key
from workers.errors import EraserCorrupt, EraserIncompatible, EraserUnavailable
from workers.pipelines.base import VideoPipeline
from workers.pipelines.load import load_directory
from workers.pipelines.placement import place
from workers.residency.eraser_cache import EraserCache
from workers.store.artifacts import DirectoryStore
from workers.training.train import put_eraser


def cache_for(store: DirectoryStore, pipeline: VideoPipeline, *, max_bytes: int = 1 << 30) -> EraserCache:
    return EraserCache(store, fingerprint=pipeline.fingerprint, device=torch.device("cpu"), max_bytes=max_bytes)


def test_fetched_once_then_kept(store: DirectoryStore, wan: VideoPipeline, wan_eraser: erasers.Eraser) -> None:
    put_eraser(store, wan_eraser)
    cache = cache_for(store, wan)
    first = cache.get(pin(wan_eraser))
    assert first.digest == wan_eraser.digest
    store.delete("erasers")
    assert cache.get(pin(wan_eraser)) is first
    cache.clear()
    assert cache.bytes_kept == 0
    with pytest.raises(EraserUnavailable, match="version 1"):
        cache.get(pin(wan_eraser))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_an_eraser_trained_through_the_library_in_another_precision_is_accepted(
    store: DirectoryStore, wan: VideoPipeline, wan_directory: Path, tmp_path: Path, dtype: torch.dtype
) -> None:
    pipe = WanPipeline.from_pretrained(wan_directory, dtype=dtype)
    assert pipe.text_encoder.dtype == dtype
    eraser = erasers.train(pipe.text_encoder, pipe.tokenizer, lantern_pairs(), method="steering")
    put_eraser(store, eraser)
    half = load_directory(wan_directory, model_id="tiny-wan", placement=place("cpu", "bfloat16"))
    for pipeline in (wan, half):
        stack = cache_for(store, pipeline).stack([pin(eraser)])
        (use,) = pipeline.encode("a lantern over the big hill", "", stack).uses
        assert use.tokens_edited > 0
    other = load_directory(tiny_models.save_wan(tmp_path / "other", seed=1), model_id="other", placement=place("cpu"))
    with pytest.raises(EraserIncompatible, match="train it for this model"):
        cache_for(store, other).get(pin(eraser))


def test_the_least_recently_used_leaves_first(store: DirectoryStore, wan: VideoPipeline, wan_eraser: erasers.Eraser) -> None:
    others = [train_lantern(wan, method="steering", seed=seed) for seed in (1, 2)]
    for each in (wan_eraser, *others):
        put_eraser(store, each)
    size = cache_for(store, wan)
    for each in others:
        size.get(pin(each))
    cache = cache_for(store, wan, max_bytes=size.bytes_kept)
    for each in (others[0], others[1], others[0]):
        cache.get(pin(each))
    cache.get(pin(wan_eraser))
    assert cache.bytes_kept <= size.bytes_kept
    store.delete("erasers")
    with pytest.raises(EraserUnavailable):
        cache.get(pin(others[1]))


@pytest.mark.parametrize("name", ["config.json", "eraser.safetensors"])
def test_a_flipped_bit_is_noticed(store: DirectoryStore, wan: VideoPipeline, wan_eraser: erasers.Eraser, name: str) -> None:
    put_eraser(store, wan_eraser)
    path = store.root / eraser_key(wan_eraser.digest, name)
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)
    with pytest.raises(EraserCorrupt, match="not what was pinned") as caught:
        cache_for(store, wan).get(pin(wan_eraser))
    assert "/tmp" not in str(caught.value)


@pytest.mark.parametrize("name", ["config.json", "eraser.safetensors"])
def test_half_an_artefact_is_none(store: DirectoryStore, wan: VideoPipeline, wan_eraser: erasers.Eraser, name: str) -> None:
    put_eraser(store, wan_eraser)
    store.delete(eraser_key(wan_eraser.digest, name))
    with pytest.raises(EraserUnavailable, match=name):
        cache_for(store, wan).get(pin(wan_eraser))


def test_another_encoders_eraser_is_refused(
    store: DirectoryStore, wan: VideoPipeline, cogvideox_eraser: erasers.Eraser, tmp_path: Path
) -> None:
    put_eraser(store, cogvideox_eraser)
    cache = cache_for(store, wan)
    for _ in range(2):  # and not kept by the first refusal
        with pytest.raises(EraserIncompatible, match="was made for"):
            cache.get(pin(cogvideox_eraser))
    assert cache.bytes_kept == 0


def test_the_wrong_concepts_eraser_is_refused(store: DirectoryStore, wan: VideoPipeline, wan_eraser: erasers.Eraser) -> None:
    put_eraser(store, wan_eraser)
    cache = cache_for(store, wan)
    cache.get(pin(wan_eraser, concept="Lantern"))
    with pytest.raises(EraserCorrupt, match="takes out 'lantern'"):
        cache.get(pin(wan_eraser, concept="boat"))
