"""Tiny random models that see, one of each family, as folders on disk: weights, tokenizer, image processor."""

from __future__ import annotations

import atexit
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import torch
from conftest import TURN_END, TURN_START, WINDOW
from conftest import tokenizer as byte_tokenizer
from PIL import Image, ImageDraw
from transformers import AutoConfig, AutoModelForImageTextToText
from transformers.models.auto.image_processing_auto import IMAGE_PROCESSOR_MAPPING

from seal_agent.base_model.loading import load_model
from seal_agent.base_model.model import BaseModel
from seal_agent.images.pictures import as_picture
from seal_agent.types import Message, Picture

HIDDEN = 64
TEXT: Mapping[str, Any] = {
    "vocab_size": 320,
    "hidden_size": HIDDEN,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": WINDOW,
    "pad_token_id": 0,
    "bos_token_id": None,
    "eos_token_id": None,
    "initializer_range": 0.2,
}
TOWER: Mapping[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 28,
    "patch_size": 14,
    "initializer_range": 0.2,
}
_QWEN_TEXT = {**TEXT, "rope_parameters": {"rope_type": "default", "mrope_section": [2, 3, 3]}}
_QWEN_TOWER = {"depth": 2, "num_heads": 2, "patch_size": 14, "initializer_range": 0.2}
_QWEN_IMAGES = {"size": {"shortest_edge": 28 * 28, "longest_edge": 28 * 28 * 6}}
_SMOL_IMAGES = {"size": {"longest_edge": 56}, "max_image_size": {"longest_edge": 28}}
_SMOL_TOKENS = (
    "<image>",
    "<fake_token_around_image>",
    "<global-img>",
    "<end_of_utterance>",
    *(f"<row_{row}_col_{column}>" for row in (1, 2) for column in (1, 2)),
)


@dataclass(frozen=True)
class SeeingModel:
    """How one family is built."""

    name: str
    config: Mapping[str, Any]
    tokens: tuple[str, ...]
    """Control tokens for pictures; the first is the one that a picture's features replace."""
    placed: str
    """What the chat template writes for a picture."""
    images: Mapping[str, Any]
    processor: Mapping[str, Any] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    """Attributes of the tokenizer that name its tokens."""

    @property
    def model_type(self) -> str:
        return str(self.config["model_type"])


FAMILIES = {
    model.name: model
    for model in (
        SeeingModel(
            "llava",
            {
                "model_type": "llava",
                "text_config": {**TEXT, "model_type": "llama"},
                "vision_config": {**TOWER, "model_type": "clip_vision_model", "projection_dim": 32},
                "vision_feature_layer": -1,
            },
            ("<image>",),
            "<image>\n",
            {"size": {"shortest_edge": 28}, "crop_size": {"height": 28, "width": 28}},
            {"patch_size": 14, "num_additional_image_tokens": 1, "vision_feature_select_strategy": "default"},
        ),
        SeeingModel(
            "qwen2-vl",
            {
                "model_type": "qwen2_vl",
                "text_config": _QWEN_TEXT,
                "vision_config": {**_QWEN_TOWER, "embed_dim": 32, "hidden_size": HIDDEN},
            },
            ("<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>"),
            "<|vision_start|><|image_pad|><|vision_end|>",
            _QWEN_IMAGES,
        ),
        SeeingModel(
            "qwen2.5-vl",
            {
                "model_type": "qwen2_5_vl",
                "text_config": _QWEN_TEXT,
                "vision_config": {
                    **_QWEN_TOWER,
                    "hidden_size": 32,
                    "intermediate_size": 48,
                    "out_hidden_size": HIDDEN,
                    "window_size": 56,
                    "fullatt_block_indexes": [1],
                },
            },
            ("<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>"),
            "<|vision_start|><|image_pad|><|vision_end|>",
            _QWEN_IMAGES,
        ),
        SeeingModel(
            "gemma3",
            {
                "model_type": "gemma3",
                "text_config": {
                    **TEXT,
                    "model_type": "gemma3_text",
                    "layer_types": ["sliding_attention", "full_attention"],
                    "sliding_window": 24,
                    "query_pre_attn_scalar": 16,
                },
                "tie_word_embeddings": False,  # tied, it says its last token again
                "vision_config": {**TOWER, "model_type": "siglip_vision_model"},
                "mm_tokens_per_image": 4,
            },
            ("<image_soft_token>", "<start_of_image>", "<end_of_image>"),
            "<start_of_image>",
            {"size": {"height": 28, "width": 28}},
            {"image_seq_length": 4},
            {"image_token": "<image_soft_token>", "boi_token": "<start_of_image>", "eoi_token": "<end_of_image>"},
        ),
        SeeingModel(
            "smolvlm",
            {
                "model_type": "smolvlm",
                "text_config": {**TEXT, "model_type": "llama"},
                "vision_config": {**TOWER, "model_type": "smolvlm_vision"},
                "scale_factor": 2,
            },
            _SMOL_TOKENS,
            "<image>",
            _SMOL_IMAGES,
            {"image_seq_len": 1},
        ),
        SeeingModel(
            "idefics3",
            {
                "model_type": "idefics3",
                "text_config": {**TEXT, "model_type": "llama"},
                "vision_config": {**TOWER, "model_type": "idefics3_vision"},
                "scale_factor": 2,
            },
            _SMOL_TOKENS,
            "<image>",
            _SMOL_IMAGES,
            {"image_seq_len": 1},
        ),
    )
}


@cache
def folder_of(name: str) -> Path:
    """The folder of a family's tiny model, made on first use."""
    folder = Path(mkdtemp(prefix=f"seeing-{name}-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return written(FAMILIES[name], folder)


def with_wider_heads(family: SeeingModel) -> SeeingModel:
    """The same with heads of 32, the smallest that vLLM's attention takes on a CPU."""
    text = {**family.config["text_config"], "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 32}
    if "rope_parameters" in text:
        text["rope_parameters"] = {"rope_type": "default", "mrope_section": [4, 6, 6]}
    return replace(family, config={**family.config, "text_config": text})


def written(family: SeeingModel, folder: Path) -> Path:
    """The folder, with a model of this family in it."""
    tokenizer = byte_tokenizer(chat=True)
    named = {token: attribute for attribute, token in family.names.items()}
    tokenizer.add_special_tokens({"additional_special_tokens": [TURN_START, TURN_END, *family.tokens]})
    if named:
        tokenizer._set_model_specific_special_tokens(special_tokens=dict(family.names))
    tokenizer.chat_template = _template(family.placed)
    tokenizer.save_pretrained(folder)
    ids = dict(zip(family.tokens, tokenizer.convert_tokens_to_ids(list(family.tokens)), strict=True))
    torch.manual_seed(0)
    config = AutoConfig.for_model(**family.config, **_token_ids(family, ids))
    module = AutoModelForImageTextToText.from_config(config, dtype=torch.float32)
    for weight in module.parameters():
        if weight.dim() > 1 and not weight.any():  # Gemma 3's projector begins as zeros, which show nothing
            torch.nn.init.normal_(weight, std=0.2)
    module.save_pretrained(folder)
    images = IMAGE_PROCESSOR_MAPPING[type(config)]["pil"](**family.images)
    images.save_pretrained(folder)
    (folder / "processor_config.json").write_text(json.dumps(dict(family.processor)))
    return folder


def seeing(name: str, dtype: str = "float32") -> BaseModel:
    """A tiny model that sees, loaded from its folder."""
    return load_model(folder_of(name), device="cpu", dtype=dtype)


def picture(seed: int, width: int = 40, height: int = 30) -> Picture:
    """A picture of coloured boxes."""
    draw = torch.Generator().manual_seed(seed)
    image = Image.new("RGB", (width, height), tuple(torch.randint(256, (3,), generator=draw).tolist()))
    for _ in range(4):
        x, y = (int(torch.randint(size, (1,), generator=draw)) for size in (width, height))
        colour = tuple(torch.randint(256, (3,), generator=draw).tolist())
        ImageDraw.Draw(image).rectangle((x, y, x + width // 3, y + height // 3), fill=colour)
    return as_picture(image)


def shown(text: str, *pictures: Picture) -> tuple[Message, ...]:
    """A user's turn with pictures."""
    return (Message("user", text, pictures=pictures),)


def _token_ids(family: SeeingModel, ids: Mapping[str, int]) -> dict[str, int]:
    """The ids that the config names."""
    found = {"image_token_id": ids[family.tokens[0]]}
    if "<|vision_start|>" in ids:
        found |= {
            "video_token_id": ids["<|video_pad|>"],
            "vision_start_token_id": ids["<|vision_start|>"],
            "vision_end_token_id": ids["<|vision_end|>"],
        }
    if "<start_of_image>" in ids:
        found |= {"boi_token_index": ids["<start_of_image>"], "eoi_token_index": ids["<end_of_image>"]}
    return found


def _template(placed: str) -> str:
    return (
        "{% for m in messages %}<turn>{{ m['role'] }}\n{% if m['content'] is string %}{{ m['content'] }}{% else %}"
        "{% for b in m['content'] %}{% if b['type'] == 'image' %}" + placed + "{% else %}{{ b['text'] }}{% endif %}"
        "{% endfor %}{% endif %}</turn>\n{% endfor %}{% if add_generation_prompt %}<turn>assistant\n{% endif %}"
    )
