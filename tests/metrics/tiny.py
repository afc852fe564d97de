"""CLIP and DINO as their papers build them, tiny and with random weights, saved as an operator would have them."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import CLIPConfig, CLIPModel, ViTConfig, ViTModel

from tests.erasers.tiny import make_tokenizer

_SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}


def save_clip(directory: Path, *, projection: int = 24) -> Path:
    tokenizer = make_tokenizer(bos=True)
    text = {**_SMALL, "vocab_size": len(tokenizer), "max_position_embeddings": 77, "bos_token_id": 3, "eos_token_id": 1}
    vision = {**_SMALL, "image_size": 32, "patch_size": 8}
    torch.manual_seed(0)
    CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=projection)).save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory


def save_dino(directory: Path) -> Path:
    torch.manual_seed(0)
    ViTModel(ViTConfig(**_SMALL, image_size=32, patch_size=8), add_pooling_layer=False).save_pretrained(directory)
    return directory
