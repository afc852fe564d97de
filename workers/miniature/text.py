"""Tokenizer and text encoder of the miniature: a word-level Unigram vocabulary and a UMT5 encoder of eight blocks.

The encoder is pretrained on captions of the grammar: half of each batch fills in masked tokens, half tells from the mean
of the final states what the scene holds. Afterwards it is frozen; denoiser and erasers only ever read it.
"""

from __future__ import annotations

import collections
import math
import random
from pathlib import Path
from typing import ClassVar

import torch
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel

from workers.miniature.grammar import FILLERS, caption, with_typo
from workers.miniature.journal import Journal
from workers.miniature.vocabulary import BACKGROUNDS, MOTIONS, STYLES, SUBJECTS
from workers.miniature.world import Scene, random_scene

MAX_TOKENS = 96
"""Of a prompt, the end of sequence included."""

TRAINING_TOKENS = 32
"""Captions are short: training cuts and pads them to this, which costs a third less."""
PAD, EOS, UNKNOWN, MASK = "<pad>", "</s>", "<unk>", "<extra_id_0>"
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,;:'!?-()"
_PIECES = ("ing", "ed", "er", "es", "ly", "al", "in", "on", "an", "st", "th", "ch", "sh", "ou", "ea", "ee", "oo", "tion", "ment")


def training_caption(scene: Scene, rng: random.Random) -> str:
    """A caption as the models meet it: any synonym, some empty words, now and then a typo or a meaningless word."""
    text = caption(scene, rng, fill=0.12)
    if rng.random() < 0.06:
        text = with_typo(text, rng)
    if rng.random() < 0.08:
        words = text.split(" ")
        nonsense = "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(rng.randint(3, 7)))
        words.insert(rng.randint(0, len(words)), nonsense)
        text = " ".join(words)
    return text


def build_tokenizer(seed: int) -> PreTrainedTokenizerFast:
    """Every word of the grammar is one piece; letters and a few syllables spell all others. Case and width are folded."""
    rng = random.Random(seed)
    counts = collections.Counter(
        word for _ in range(20_000) for word in caption(random_scene(rng), rng, fill=0.3).replace(",", "").split()
    )
    counts.update({word: 20 for filler in FILLERS for word in filler.split()})
    total = sum(counts.values())
    pieces = [(PAD, 0.0), (EOS, 0.0), (UNKNOWN, -20.0), (MASK, 0.0), ("▁", -9.0)]
    pieces += [(f"▁{word}", math.log(count / total)) for word, count in counts.most_common()]
    present = {piece for piece, _ in pieces}
    pieces += [(letter, -14.0) for letter in _LETTERS if letter not in present]
    pieces += [(piece, -13.0) for piece in _PIECES if piece not in present]
    core = Tokenizer(models.Unigram(pieces, unk_id=2, byte_fallback=False))
    core.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Lowercase(), normalizers.Replace(",", " , "), normalizers.Replace(Regex(r"\s+"), " ")]
    )
    core.pre_tokenizer = pre_tokenizers.Metaspace()
    core.post_processor = processors.TemplateProcessing(single=f"$A {EOS}", special_tokens=[(EOS, 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token=PAD, eos_token=EOS, unk_token=UNKNOWN, mask_token=MASK, model_max_length=MAX_TOKENS
    )


def build_encoder(vocabulary_size: int) -> UMT5EncoderModel:
    return UMT5EncoderModel(
        UMT5Config(
            vocab_size=vocabulary_size,
            d_model=192,
            d_kv=32,
            d_ff=384,
            num_layers=8,
            num_heads=6,
            relative_attention_num_buckets=16,
            relative_attention_max_distance=32,
            dropout_rate=0.0,
            pad_token_id=0,
            eos_token_id=1,
        )
    )


class _Heads(nn.Module):
    """What pretraining asks of the mean of the final states; thrown away afterwards."""

    sizes: ClassVar[dict[str, int]] = {
        "first": len(SUBJECTS) + 1,
        "second": len(SUBJECTS) + 1,
        "background": len(BACKGROUNDS),
        "motion": len(MOTIONS),
        "style": len(STYLES) + 1,
        "fire": 2,
    }

    def __init__(self, d_model: int, vocabulary_size: int) -> None:
        super().__init__()
        self.scene = nn.ModuleDict({name: nn.Linear(d_model, size) for name, size in self.sizes.items()})
        self.tokens = nn.Linear(d_model, vocabulary_size)

    def scene_loss(self, pooled: Tensor, texts: list[str], scenes: list[Scene]) -> Tensor:
        """Cross-entropy summed over the heads; what a caption leaves unsaid is not asked."""
        labels = [_labels(text, scene) for text, scene in zip(texts, scenes, strict=True)]
        losses = []
        for name, head in self.scene.items():
            wanted = torch.tensor([label[name] for label in labels])
            if (wanted >= 0).any():
                losses.append(F.cross_entropy(head(pooled), wanted, ignore_index=-100))
        return torch.stack(losses).sum()


def _labels(text: str, scene: Scene) -> dict[str, int]:
    subjects = [list(SUBJECTS).index(name) for name in scene.subjects] + [len(SUBJECTS)] * 2
    background, motion = BACKGROUNDS[scene.background], MOTIONS[scene.motion]
    said_background = any(phrase in text for phrase in (*background.seen, *background.held_out))
    said_motion = any(phrase in text for phrase in (*motion.seen, *motion.held_out))
    return {
        "first": subjects[0],
        "second": subjects[1],
        "background": list(BACKGROUNDS).index(scene.background) if said_background else -100,
        "motion": list(MOTIONS).index(scene.motion) if said_motion else -100,
        "style": 0 if scene.style is None else 1 + list(STYLES).index(scene.style),
        "fire": int(scene.on_fire),
    }


def train(directory: Path, *, seed: int, steps: int, journal: Journal) -> None:
    """Writes `directory/tokenizer` and `directory/text_encoder`."""
    torch.manual_seed(seed)
    rng = random.Random(seed)
    tokenizer = build_tokenizer(seed)
    encoder = build_encoder(len(tokenizer))
    heads = _Heads(encoder.config.d_model, len(tokenizer))
    parameters = [*encoder.parameters(), *heads.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=1.5e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.5e-3, total_steps=steps, pct_start=0.05)
    half = 24
    for step in range(1, steps + 1):
        scenes = [random_scene(rng) for _ in range(2 * half)]
        texts = [training_caption(scene, rng) for scene in scenes]
        batch = tokenizer(texts, padding=True, max_length=TRAINING_TOKENS, truncation=True, return_tensors="pt")
        masked = (torch.rand(batch.input_ids.shape) < 0.2) & (batch.input_ids > 3) & (torch.arange(2 * half)[:, None] < half)
        states = encoder(batch.input_ids.masked_fill(masked, 3), batch.attention_mask).last_hidden_state  # (B, T, d)
        mask = batch.attention_mask[half:, :, None]
        pooled = (states[half:] * mask).sum(1) / mask.sum(1)
        scene_loss = heads.scene_loss(pooled, texts[half:], scenes[half:])
        token_loss = F.cross_entropy(heads.tokens(states[masked]), batch.input_ids[masked])
        optimizer.zero_grad()
        (scene_loss + 0.5 * token_loss).backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        if step % 100 == 0:
            journal.write(stage="text", step=step, scene_loss=scene_loss.item(), token_loss=token_loss.item())
    tokenizer.save_pretrained(directory / "tokenizer")
    encoder.eval().save_pretrained(directory / "text_encoder")


@torch.no_grad()
def encode(tokenizer: PreTrainedTokenizerFast, encoder: UMT5EncoderModel, texts: list[str]) -> Tensor:
    """Final states (B, TRAINING_TOKENS, d_model), zero at the padding, as `WanPipeline` hands them to the denoiser."""
    batch = tokenizer(texts, padding=True, max_length=TRAINING_TOKENS, truncation=True, return_tensors="pt")
    states: Tensor = encoder(batch.input_ids, batch.attention_mask).last_hidden_state
    mask: Tensor = batch.attention_mask[..., None]
    return F.pad(states * mask, (0, 0, 0, TRAINING_TOKENS - states.shape[1]))
