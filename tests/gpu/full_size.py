"""The models that Clearway is for, at their real size, with random weights: published configurations, nothing to download.

`save` writes one as its authors do, so that it is loaded and served as theirs would be. What it makes is noise; sizes, memory and
time are real. Wan2.2-TI2V-5B takes 24 GB on disk, CogVideoX-2B 14 GB.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKLCogVideoX,
    AutoencoderKLWan,
    CogVideoXDDIMScheduler,
    CogVideoXPipeline,
    CogVideoXTransformer3DModel,
    UniPCMultistepScheduler,
    WanPipeline,
    WanTransformer3DModel,
)
from torch import nn
from transformers import T5Config, T5EncoderModel, UMT5Config, UMT5EncoderModel

from tests.workers.tiny_models import tokenizer

XXL: dict[str, Any] = {
    "d_model": 4096,
    "d_kv": 64,
    "d_ff": 10240,
    "num_layers": 24,
    "num_heads": 64,
    "feed_forward_proj": "gated-gelu",
    "layer_norm_epsilon": 1e-6,
    "relative_attention_num_buckets": 32,
    "relative_attention_max_distance": 128,
    "pad_token_id": 0,
    "eos_token_id": 1,
    "tie_word_embeddings": False,
}
UMT5 = UMT5Config(vocab_size=256_384, scalable_attention=True, **XXL)
T5 = T5Config(vocab_size=32_128, **XXL)
WAN_TRANSFORMER: dict[str, Any] = {
    "patch_size": (1, 2, 2),
    "num_attention_heads": 24,
    "attention_head_dim": 128,
    "in_channels": 48,
    "out_channels": 48,
    "text_dim": 4096,
    "freq_dim": 256,
    "ffn_dim": 14_336,
    "num_layers": 30,
    "cross_attn_norm": True,
    "qk_norm": "rms_norm_across_heads",
    "eps": 1e-6,
    "rope_max_seq_len": 1024,
}
WAN_VAE: dict[str, Any] = {
    "base_dim": 160,
    "decoder_base_dim": 256,
    "z_dim": 48,
    "dim_mult": [1, 2, 4, 4],
    "num_res_blocks": 2,
    "attn_scales": [],
    "temperal_downsample": [False, True, True],
    "is_residual": True,
    "in_channels": 12,
    "out_channels": 12,
    "patch_size": 2,
    "scale_factor_spatial": 16,
    "scale_factor_temporal": 4,
    "latents_mean": [0.0] * 48,
    "latents_std": [1.0] * 48,
}
COGVIDEOX_TRANSFORMER: dict[str, Any] = {
    "num_attention_heads": 30,
    "attention_head_dim": 64,
    "in_channels": 16,
    "out_channels": 16,
    "num_layers": 30,
    "time_embed_dim": 512,
    "text_embed_dim": 4096,
    "max_text_seq_length": 226,
    "sample_width": 90,
    "sample_height": 60,
    "sample_frames": 49,
    "patch_size": 2,
    "temporal_compression_ratio": 4,
    "spatial_interpolation_scale": 1.875,
}
COGVIDEOX_VAE: dict[str, Any] = {
    "down_block_types": ("CogVideoXDownBlock3D",) * 4,
    "up_block_types": ("CogVideoXUpBlock3D",) * 4,
    "block_out_channels": (128, 256, 256, 512),
    "latent_channels": 16,
    "layers_per_block": 3,
    "temporal_compression_ratio": 4,
    "scaling_factor": 1.15258426,
}


def components(family: str) -> dict[str, nn.Module]:
    """Those with weights, on the device and in the dtype that torch makes tensors in."""
    if family == "wan":
        return {
            "text_encoder": UMT5EncoderModel(UMT5).eval(),
            "transformer": WanTransformer3DModel(**WAN_TRANSFORMER),
            "vae": AutoencoderKLWan(**WAN_VAE),
        }
    return {
        "text_encoder": T5EncoderModel(T5).eval(),
        "transformer": CogVideoXTransformer3DModel(**COGVIDEOX_TRANSFORMER),
        "vae": AutoencoderKLCogVideoX(**COGVIDEOX_VAE),
    }


def save(directory: Path, family: str, *, device: str, seed: int = 0) -> Path:
    """In bfloat16. Made on `device`, where that many random numbers take seconds."""
    torch.manual_seed(seed)
    words = tokenizer()
    words.model_max_length = 512 if family == "wan" else 226
    with made_in(torch.bfloat16, device):
        parts: dict[str, Any] = {"tokenizer": words, **components(family)}
        if family == "wan":
            scheduler = UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=5.0)
            WanPipeline(**parts, scheduler=scheduler, expand_timesteps=True).save_pretrained(directory)
        else:
            scheduler = CogVideoXDDIMScheduler(
                prediction_type="v_prediction", rescale_betas_zero_snr=True, snr_shift_scale=3.0, timestep_spacing="trailing"
            )
            CogVideoXPipeline(**parts, scheduler=scheduler).save_pretrained(directory)
    return directory


@contextmanager
def made_in(dtype: torch.dtype, device: str) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            yield
    finally:
        torch.set_default_dtype(before)
