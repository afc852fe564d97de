"""The stages of the build, a few steps each: what they start from, and that an interruption changes nothing."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from workers.miniature import classifier_training, denoiser, text, vae, vae_training
from workers.miniature.classifier import Classifier, Network
from workers.miniature.journal import Journal
from workers.miniature.vocabulary import SUBJECTS
from workers.miniature.world import Scene, random_scene, render, sprite


@pytest.fixture(scope="module")
def pca() -> vae.PatchPCA:
    return vae.PatchPCA.fit(seed=0, clips=60)


@pytest.fixture(scope="module")
def pixels() -> torch.Tensor:
    return vae.to_pixels(np.stack([render(random_scene(random.Random(seed), plain=True), seed)[:5] for seed in range(2)]))


def psnr(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(-10 * (a - b).square().mean().div(4).log10())


def test_the_encoder_computes_the_principal_components(pca: vae.PatchPCA, pixels: torch.Tensor) -> None:
    with torch.no_grad():
        codes = vae.build(pca).encode(pixels).latent_dist.mode()
    assert (codes - pca.encode(pixels)).abs().mean() < 0.02 * codes.abs().mean()
    assert psnr(pca.decode(codes).clamp(-1, 1), pixels) > 20, "and they say what is in the picture"


def test_patches_go_there_and_back(pca: vae.PatchPCA, pixels: torch.Tensor) -> None:
    full = vae.PatchPCA(torch.zeros(48), torch.ones(48), torch.eye(48))
    assert torch.equal(full.decode(full.encode(pixels)), pixels)
    assert (vae.to_frames(pixels) == vae.to_frames(vae.to_pixels(vae.to_frames(pixels)))).all()


def test_frames_are_decoded_alone(pca: vae.PatchPCA, pixels: torch.Tensor) -> None:
    model, codes = vae.build(pca), pca.encode(pixels)
    with torch.no_grad():
        together = model.decode(codes).sample[:, :, 1:]
        alone = vae_training.decode_frames(model, codes[:, :, 1].unsqueeze(2)).clamp(-1, 1)
    assert torch.allclose(together[:, :, :1], alone, atol=1e-5)


def test_the_decoder_learns_what_the_latents_leave_out(pca: vae.PatchPCA, pixels: torch.Tensor, tmp_path: Path) -> None:
    """From true latents under noise, and from a denoiser's estimates. Encoder and taps of past frames stay as they were."""
    for estimate in (None, lambda noisy, sigma, texts: noisy):
        torch.manual_seed(0)
        model = vae.build(pca)
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        vae_training.train_decoder(model, pca, seed=0, steps=6, journal=Journal(tmp_path / "log.jsonl"), estimate=estimate)
        after = model.state_dict()
        changed = {name for name in before if not torch.equal(before[name], after[name])}
        assert "decoder.conv_out.weight" in changed
        assert {name.split(".")[0] for name in changed} == {"decoder"}
        weight = after["decoder.mid_block.resnets.0.conv1.weight"]
        assert not weight[:, :, :2].any()
        assert weight[:, :, 2].any()


def test_denoiser_latents_have_unit_mean_square(pca: vae.PatchPCA) -> None:
    clips = np.stack([render(random_scene(random.Random(seed)), seed)[::4] for seed in range(40)])
    assert 0.6 < float(pca.denoiser_latents(vae.to_pixels(clips)).var()) < 1.4


@pytest.fixture(scope="module")
def build_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("build")
    text.train(directory, seed=0, steps=2, journal=Journal(directory / "log.jsonl"))
    return directory


def test_the_tokenizer_folds_case_and_width_and_spells_what_it_does_not_know(build_directory: Path) -> None:
    tokenizer = text.PreTrainedTokenizerFast.from_pretrained(build_directory / "tokenizer")
    assert tokenizer("A Parachute").input_ids == tokenizer("a ｐarachute").input_ids
    assert len(tokenizer("a parachute over the sea").input_ids) == 6
    assert tokenizer.unk_token_id not in tokenizer("xylophone, 1920s").input_ids


def train_denoiser(directory: Path, steps: int, parts: Path) -> dict[str, torch.Tensor]:
    directory.mkdir(exist_ok=True)
    for part in ("tokenizer", "text_encoder"):
        if not (directory / part).exists():
            (directory / part).symlink_to(parts / part)
    trainer = denoiser.Trainer(
        directory, seed=0, steps=steps, batch=2, learning_rate=1e-3, journal=Journal(directory / "log.jsonl"), workers=0
    )
    trainer.run()
    return load_file(directory / "denoiser.safetensors")


def test_a_denoiser_that_was_interrupted_ends_as_an_unbroken_one(
    build_directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train_denoiser(tmp_path / "whole", 4, build_directory)
    monkeypatch.setattr(denoiser, "SAVE_EVERY", 2)
    broken = tmp_path / "broken"
    average = denoiser.Trainer._average

    def killed(self: denoiser.Trainer) -> None:
        if self._step == 3:
            raise KeyboardInterrupt
        average(self)

    with monkeypatch.context() as patch:
        patch.setattr(denoiser.Trainer, "_average", killed)
        with pytest.raises(KeyboardInterrupt):
            train_denoiser(broken, 4, build_directory)
    assert int(load_file(broken / "denoiser.safetensors")["step"]) == 2
    resumed = train_denoiser(broken, 4, build_directory)
    assert resumed.keys() == whole.keys()
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)


def test_the_world_grows_harder() -> None:
    curriculum = denoiser.Curriculum(1000)
    assert 1 > curriculum.plain_share(0) > curriculum.plain_share(300) > curriculum.plain_share(999) > 0
    assert curriculum.thirds(0)
    assert not curriculum.thirds(999)


def test_a_step_of_thirds_holds_as_many_frames_as_one_of_clips() -> None:
    for step, shape in ((0, (6, 3, 64, 64, 3)), (9, (2, 9, 64, 64, 3))):
        clips = denoiser.Clips(seed=0, batch=2, first_step=step, curriculum=denoiser.Curriculum(10))
        texts, frames = next(iter(clips))
        assert frames.shape == shape
        assert len(texts) == shape[0]


def test_spoilt_pictures_are_far_from_true_ones() -> None:
    rng = random.Random(0)
    for name in list(SUBJECTS)[::3]:
        true = render(Scene((name,), "sky"), 0).astype(int)
        for _ in range(6):
            picture = classifier_training.spoilt(name, rng)
            false = render(Scene((name,), "sky"), 0, picture=lambda _, picture=picture: picture).astype(int)
            moved = np.abs(true - render(Scene((), "sky"), 0)).mean()
            assert np.abs(true - false).mean() > 0.15 * moved


def test_generated_clips_for_the_judge_come_from_the_denoisers_estimates(pca: vae.PatchPCA) -> None:
    """Without noise the clip comes back; with all of it, what the estimate makes of noise."""
    asked: list[tuple[float, list[str]]] = []

    def estimate(noisy: torch.Tensor, sigma: torch.Tensor, texts: list[str]) -> torch.Tensor:
        asked.append((float(sigma.min()), texts))
        return noisy if float(sigma.max()) == 0 else torch.zeros_like(noisy)

    model = vae.build(pca)
    generated = classifier_training._Generated(model, pca, estimate, torch.Generator().manual_seed(0))
    frames = np.stack([render(Scene(("apple",), "sea"), 0)])
    same = generated(frames, ["an apple"], (0.0, 0.0))
    smear = generated(frames, ["an apple"], generated.SMEARED)
    codes = pca.encode(vae.to_pixels(frames))[:, :, ::2]
    with torch.no_grad():
        wanted = torch.cat([vae_training.decode_frames(model, codes[:, :, [t]]) for t in range(codes.shape[2])], dim=2)
    torch.testing.assert_close(same, wanted.clamp(-1, 1))
    assert smear.shape == same.shape
    assert not torch.allclose(smear, same, atol=0.1)
    assert asked[0] == (0.0, ["an apple"])
    assert asked[1][0] >= 0.98


def test_accuracy_counts_what_the_judge_says() -> None:
    """A judge that says nothing is exactly right on empty frames alone, and refuses every spoilt subject."""
    network = Network()
    torch.nn.init.zeros_(network.subjects[-1].weight)
    torch.nn.init.constant_(network.subjects[-1].bias, -1.0)
    result = classifier_training.accuracy(Classifier(network), seed=0, clips=30)
    assert result["spoilt_refused"] == 1.0
    assert result["subjects_exact"] < 0.3


def test_the_journal_appends(tmp_path: Path) -> None:
    for step in (1, 2):
        Journal(tmp_path / "log.jsonl").write(step=step, loss=0.123456)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2]
    assert lines[0]["loss"] == 0.1235


def test_sprites_are_there_for_every_subject() -> None:
    for name in (*SUBJECTS, "on fire"):
        assert sprite(name).size == (64, 64)
