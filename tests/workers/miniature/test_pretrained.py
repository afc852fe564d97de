"""The parts of training a denoiser for a pretrained encoder, on small numbers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from workers.miniature.denoiser import build
from workers.miniature.journal import Journal
from workers.miniature.pretrained import distillation, states
from workers.miniature.pretrained.padding import PROMPT_TOKENS, PaddingOnce, noisy_codes
from workers.miniature.pretrained.weights import folded, read_shards, write_shards
from workers.miniature.vae import PatchPCA
from workers.miniature.weights import MODEL_DIR

WIDTH = 160  # of the states of an encoder that these tests make up


@pytest.fixture(scope="module")
def blocks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A block of states as `states.encode` writes it, of made-up states: one direction a token of a caption."""
    directory = tmp_path_factory.mktemp("blocks")
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(2, states.MAX_TOKENS + 1, (states._BLOCK,), generator=generator)
    lengths[5] = 0  # too long
    values = torch.randn(int(lengths.sum()), WIDTH, generator=generator) * torch.linspace(3, 0.1, WIDTH) + 0.5
    values[:, 7] = 0.25  # a dimension that never moves
    save_file({"states": values.bfloat16(), "lengths": lengths}, directory / "000000.safetensors")
    return directory


@pytest.fixture(scope="module")
def known(blocks: Path) -> states.States:
    path = blocks / "states.xz"
    path.write_bytes(states.compress(blocks, seed=0))
    return states.read(path)


def test_codes_are_the_states_read_by_one_affine_map(blocks: Path, known: states.States) -> None:
    from safetensors.torch import load_file

    block = load_file(blocks / "000000.safetensors")
    made = states.training_captions(states._BLOCK, seed=0)
    kept = [one for index, one in enumerate(made) if index != 5]
    assert [one.scene for one in known.captions[1:]] == [one.scene for one in kept[1:]]
    first = int(block["lengths"][0])
    exact = block["states"][:first].float() @ known.reading + known.offset
    assert (known.codes[0, :first] - exact).abs().max() < 0.3, "a step of rounding"
    assert torch.equal(known.codes[0, first:], known.offset.expand(states.MAX_TOKENS + 1 - first, -1))
    assert known.reading.abs().max() < 100, "a dimension that never moves is not blown up"


def test_one_zero_stands_for_all_padding_and_folding_changes_nothing(known: states.States) -> None:
    torch.manual_seed(0)
    small = build(known.codes.shape[-1]).eval()
    for parameter in small.parameters():
        parameter.data.add_(0.02 * torch.randn_like(parameter))
    whole = build(WIDTH).eval()
    whole.load_state_dict(folded(small.state_dict(), known.reading, known.offset))
    length = int(known.lengths[3])
    encoded = torch.zeros(1, PROMPT_TOKENS, WIDTH)
    encoded[0, :length] = (known.codes[3, :length] - known.offset) @ torch.linalg.pinv(known.reading)
    latents, sigma = torch.randn(1, 5, 9, 16, 16), torch.tensor([700.0])
    with torch.no_grad():
        served = whole(latents, sigma, encoded, return_dict=False)[0]
        short = small(latents, sigma, known.codes[3:4], return_dict=False)[0]
        for block in small.blocks:
            block.attn2.set_processor(PaddingOnce())
        trained = small(latents, sigma, known.codes[3:4], return_dict=False)[0]
    assert (served - trained).abs().max() < 1e-4
    assert (served - short).abs().max() > 1e-3, "the control: without the processor padding counts for too little"


def test_noise_leaves_padding_alone(known: states.States) -> None:
    chosen = torch.tensor([1, 2, 3])
    codes = noisy_codes(known, chosen, torch.Generator().manual_seed(0))
    real = torch.arange(states.MAX_TOKENS + 1) < known.lengths[chosen][:, None]
    assert torch.equal(codes[~real], known.codes[chosen][~real])
    assert (codes[real] - known.codes[chosen][real]).abs().mean() > 0.1


def test_shards_are_small_and_complete_together(tmp_path: Path) -> None:
    model = build(8)
    write_shards(model, tmp_path)
    assert max(path.stat().st_size for path in tmp_path.iterdir()) < 16 * 2**20
    back = read_shards(tmp_path)
    assert all(torch.equal(back[name], tensor) for name, tensor in model.state_dict().items())
    with pytest.raises(FileNotFoundError, match="no denoiser"):
        read_shards(tmp_path / "elsewhere")


def test_the_vaes_own_weights_say_what_its_latents_are() -> None:
    from workers.miniature.vae import to_pixels
    from workers.miniature.world import Scene, render

    pixels = to_pixels(render(Scene(("cat",), "sea"), 0))[None]
    fitted, read = PatchPCA.fit(seed=0, clips=600), PatchPCA.of_vae(MODEL_DIR / "vae")
    assert (fitted.denoiser_latents(pixels) - read.denoiser_latents(pixels)).abs().max() < 0.05


@pytest.mark.slow
def test_the_student_learns_what_the_teacher_adds(known: states.States, tmp_path: Path) -> None:
    distillation.gather(tmp_path / "lessons", known, clips=distillation._BLOCK, seed=0)

    @torch.no_grad()
    def error(student: torch.nn.Module) -> float:
        from safetensors.torch import load_file

        block = load_file(tmp_path / "lessons" / "000000.safetensors")
        text = student.condition_embedder.text_embedder(known.codes[block["captions"][:64]])
        added: list[Tensor] = [part.attn2(block["taken"][:64, at].float(), text) for at, part in enumerate(student.blocks)]
        return float((torch.stack(added, 1) - block["added"][:64].float()).square().mean())

    teacher = distillation.Teacher().denoiser
    torch.manual_seed(0)
    before = error(distillation.student_of(teacher, known.codes.shape[-1]))
    student = distillation.distil(
        tmp_path / "lessons", known, steps=40, batch=32, rate=1e-3, seed=0, journal=Journal(tmp_path / "log.jsonl")
    )
    assert error(student) < 0.7 * before
    untouched = "blocks.0.attn1.to_q.weight"
    assert torch.equal(student.state_dict()[untouched], teacher.state_dict()[untouched]), "only what reads text is taught"
