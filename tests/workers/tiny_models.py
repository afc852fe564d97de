"""Tiny random models of both families, made of the real classes and saved as their authors would."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKLCogVideoX,
    AutoencoderKLWan,
    CogVideoXDPMScheduler,
    CogVideoXPipeline,
    CogVideoXTransformer3DModel,
    FlowMatchEulerDiscreteScheduler,
    WanPipeline,
    WanTransformer3DModel,
)
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast, T5Config, T5EncoderModel, UMT5Config, UMT5EncoderModel

WORDS = (
    "a", "an", "the", "of", "in", "on", "at", "over", "near", "red", "blue", "big", "small", "lantern", "boat", "cat", "dog",
    "tree", "hill", "river", "field", "night", "morning", "video", "clip",
)  # fmt: skip
LETTERS = "abcdefghijklmnopqrstuvwxyz"
MAX_TOKENS = 16


def tokenizer() -> PreTrainedTokenizerFast:
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -20.0), ("▁", -9.0)]
    pieces += [(f"▁{word}", math.log(1 / len(WORDS))) for word in WORDS if word != "a"] + [("▁a", -3.0)]
    pieces += [(letter, -14.0) for letter in LETTERS]
    core = Tokenizer(models.Unigram(pieces, unk_id=2, byte_fallback=False))
    core.normalizer = normalizers.Lowercase()
    core.pre_tokenizer = pre_tokenizers.Metaspace()
    core.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=MAX_TOKENS
    )


def _encoder_sizes() -> dict[str, int]:
    return {
        "vocab_size": len(tokenizer()),
        "d_model": 32,
        "d_kv": 8,
        "d_ff": 48,
        "num_layers": 3,
        "num_heads": 4,
        "pad_token_id": 0,
    }


def save_wan(directory: Path, *, seed: int = 0) -> Path:
    torch.manual_seed(seed)
    WanPipeline(
        tokenizer=tokenizer(),
        text_encoder=UMT5EncoderModel(UMT5Config(**_encoder_sizes())).eval(),
        vae=AutoencoderKLWan(
            base_dim=3, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1, temperal_downsample=[False, True, True]
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        transformer=WanTransformer3DModel(
            patch_size=(1, 2, 2),
            num_attention_heads=2,
            attention_head_dim=12,
            in_channels=16,
            out_channels=16,
            text_dim=32,
            freq_dim=16,
            ffn_dim=32,
            num_layers=2,
            rope_max_seq_len=32,
        ),
    ).save_pretrained(directory)
    return directory


def save_wan_with_every_frame(directory: Path) -> Path:
    """As the miniature: a VAE that keeps every frame, and patches that span three of them."""
    torch.manual_seed(0)
    WanPipeline(
        tokenizer=tokenizer(),
        text_encoder=UMT5EncoderModel(UMT5Config(**_encoder_sizes())).eval(),
        vae=AutoencoderKLWan(
            base_dim=4,
            z_dim=4,
            dim_mult=[1],
            num_res_blocks=1,
            temperal_downsample=[],
            latents_mean=[0.0] * 4,
            latents_std=[1.0] * 4,
            in_channels=3 * 8 * 8,
            out_channels=3 * 8 * 8,
            patch_size=8,
            scale_factor_temporal=1,
            scale_factor_spatial=8,
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        transformer=WanTransformer3DModel(
            patch_size=(3, 2, 2),
            num_attention_heads=2,
            attention_head_dim=12,
            in_channels=4,
            out_channels=4,
            text_dim=32,
            freq_dim=16,
            ffn_dim=32,
            num_layers=1,
            rope_max_seq_len=32,
        ),
    ).save_pretrained(directory)
    return directory


def save_cogvideox(directory: Path) -> Path:
    torch.manual_seed(0)
    CogVideoXPipeline(
        tokenizer=tokenizer(),
        text_encoder=T5EncoderModel(T5Config(**_encoder_sizes())).eval(),
        vae=AutoencoderKLCogVideoX(
            down_block_types=("CogVideoXDownBlock3D",) * 4,
            up_block_types=("CogVideoXUpBlock3D",) * 4,
            block_out_channels=(8, 8, 8, 8),
            latent_channels=4,
            layers_per_block=1,
            norm_num_groups=2,
            temporal_compression_ratio=4,
        ),
        scheduler=CogVideoXDPMScheduler(),  # adds noise at every step: the harder case for repeatability
        transformer=CogVideoXTransformer3DModel(
            num_attention_heads=2,
            attention_head_dim=16,
            in_channels=4,
            out_channels=4,
            time_embed_dim=2,
            text_embed_dim=32,
            num_layers=1,
            sample_width=2,
            sample_height=2,
            sample_frames=9,
            patch_size=2,
            temporal_compression_ratio=4,
            max_text_seq_length=MAX_TOKENS,
        ),
    ).save_pretrained(directory)
    return directory
