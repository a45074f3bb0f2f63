"""Two-layer random models of the architectures that transformers calls causal, made from their configs in milliseconds.

A model is a line of the table: a name, the `model_type` of its config, and what differs from `SMALL`. `FAST` names the
third that is tested in `make test`; `make test-full` takes all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
import torch
from conftest import tokenizer
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText, PreTrainedConfig

from seal_agent.base_model.model import BaseModel

VOCABULARY, HIDDEN, WINDOW = 320, 64, 2048

SMALL: Mapping[str, Any] = {
    "vocab_size": VOCABULARY,
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
    "initializer_range": 0.2,  # wide enough that what a model says depends on what it read
}

Kind = Literal["dense", "windowed", "experts", "state", "hybrid", "multimodal"]


@dataclass(frozen=True)
class ZooModel:
    """How one model is built."""

    name: str
    kind: Kind
    model_type: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Against `SMALL`; ABSENT leaves a setting at the architecture's own default."""
    text_only: bool = True
    """False: the settings are those of the config's text part, `changes` those of the whole config."""

    @property
    def fast(self) -> bool:
        return self.name in FAST

    def config(self) -> PreTrainedConfig:
        """The model's config."""
        if not self.text_only:
            return AutoConfig.for_model(self.model_type, **self.changes)
        settings = {key: value for key, value in {**SMALL, **self.changes}.items() if value is not ABSENT}
        return AutoConfig.for_model(self.model_type, **settings)

    def module(self, seed: int = 0, dtype: torch.dtype = torch.float32) -> Any:
        """A frozen model in evaluation mode; the same seed gives the same weights."""
        torch.manual_seed(seed)
        config = self.config()
        causal = type(config) in AutoModelForCausalLM._model_mapping
        maker = AutoModelForCausalLM if causal else AutoModelForImageTextToText
        module = maker.from_config(config, dtype=torch.float32)
        return module.to(dtype).requires_grad_(False).eval()

    def base(self, dtype: torch.dtype = torch.float32) -> BaseModel:
        """The model with one token per byte and a chat template."""
        return BaseModel(f"zoo-{self.name}", self.module(dtype=dtype), tokenizer(chat=True), f"{self.name}-identity")


ABSENT = object()


def _text(**changes: Any) -> dict[str, Any]:
    """The text part of a multimodal config."""
    return {key: value for key, value in {**SMALL, **changes}.items() if value is not ABSENT}


_SIGLIP = {
    "model_type": "siglip_vision_model",
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 28,
    "patch_size": 14,
}
_CLIP = {**_SIGLIP, "model_type": "clip_vision_model", "projection_dim": 32}
_QWEN_VISION = {"depth": 2, "num_heads": 2, "hidden_size": HIDDEN, "patch_size": 14}
_MAMBA2 = {"mamba_n_heads": 8, "mamba_d_head": 16, "mamba_d_state": 8, "mamba_expand": 2, "mamba_chunk_size": 16}
_MLA = {
    "num_key_value_heads": 4,
    "head_dim": ABSENT,
    "kv_lora_rank": 16,
    "q_lora_rank": 24,
    "qk_nope_head_dim": 16,
    "qk_rope_head_dim": 8,
    "v_head_dim": 16,
}
_ENDS = {"bos_token_id": 1, "eos_token_id": 1, "cls_token_id": 1, "sep_token_id": 1}
_GEMMA4 = {
    "vocab_size_per_layer_input": VOCABULARY,
    "hidden_size_per_layer_input": 8,
    "sliding_window": 24,
    "global_head_dim": 16,
}
_GEMMA3N = {
    "vocab_size_per_layer_input": VOCABULARY,
    "hidden_size_per_layer_input": 8,
    "sliding_window": 24,
    "layer_types": ["sliding_attention", "full_attention"],
    "num_kv_shared_layers": 0,
    "laurel_rank": 8,
    "activation_sparsity_pattern": [0.0, 0.0],
    "altup_num_inputs": 2,
    "altup_correct_scale": False,  # a fresh model's scale is zero, so nothing behind it would learn
}
_DELTA_NET = {
    "linear_key_head_dim": 16,
    "linear_value_head_dim": 16,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "layer_types": ["linear_attention", "full_attention"],
}
_ROUTED = {"moe_intermediate_size": 32, "num_experts_per_tok": 2}

_DENSE = (
    ZooModel("llama", "dense", "llama"),
    ZooModel("llama-tied", "dense", "llama", {"tie_word_embeddings": True}),
    ZooModel("qwen2", "dense", "qwen2"),
    ZooModel("qwen3", "dense", "qwen3"),
    ZooModel("mistral", "windowed", "mistral", {"sliding_window": 24}),
    ZooModel("ministral", "windowed", "ministral", {"sliding_window": 24}),
    ZooModel("phi", "dense", "phi"),
    ZooModel("phi3", "windowed", "phi3", {"sliding_window": 24}),
    ZooModel("gemma", "dense", "gemma"),
    ZooModel("gemma2", "windowed", "gemma2", {"sliding_window": 24, "query_pre_attn_scalar": 16}),
    ZooModel("gemma3-text", "windowed", "gemma3_text", {"sliding_window": 24}),
    ZooModel("olmo", "dense", "olmo"),
    ZooModel("olmo-clipped", "dense", "olmo", {"clip_qkv": 2.0}),
    ZooModel("olmo2", "dense", "olmo2"),
    ZooModel("olmo3", "windowed", "olmo3", {"sliding_window": 24}),
    ZooModel("gpt2", "dense", "gpt2"),
    ZooModel("gpt-neo", "windowed", "gpt_neo", {"attention_types": [[["global", "local"], 1]], "window_size": 24}),
    ZooModel("gpt-neox", "dense", "gpt_neox"),
    ZooModel("gpt-neox-sequential", "dense", "gpt_neox", {"use_parallel_residual": False}),
    ZooModel("gptj", "dense", "gptj", {"rotary_dim": 8}),
    ZooModel("gpt-bigcode", "dense", "gpt_bigcode"),
    ZooModel("opt", "dense", "opt", {"word_embed_proj_dim": HIDDEN, "ffn_dim": 96}),
    ZooModel("opt-projected", "dense", "opt", {"word_embed_proj_dim": 32, "ffn_dim": 96}),
    ZooModel("bloom", "dense", "bloom"),
    ZooModel("falcon", "dense", "falcon", {"head_dim": ABSENT}),
    ZooModel("falcon-alibi", "dense", "falcon", {"head_dim": ABSENT, "alibi": True, "multi_query": False}),
    ZooModel("falcon-new", "dense", "falcon", {"head_dim": ABSENT, "new_decoder_architecture": True}),
    ZooModel("mpt", "dense", "mpt"),
    ZooModel("stablelm", "dense", "stablelm"),
    ZooModel("starcoder2", "windowed", "starcoder2", {"sliding_window": 24}),
    ZooModel("granite", "dense", "granite", {"logits_scaling": 4.0, "residual_multiplier": 0.5}),
    ZooModel("cohere", "dense", "cohere"),
    ZooModel("cohere2", "windowed", "cohere2", {"sliding_window": 24}),
    ZooModel("smollm3", "dense", "smollm3"),
    ZooModel("glm", "dense", "glm"),
    ZooModel("glm4", "dense", "glm4"),
    ZooModel("ernie4.5", "dense", "ernie4_5"),
    ZooModel("exaone4", "windowed", "exaone4", {"sliding_window": 24}),
    ZooModel("nemotron", "dense", "nemotron"),
    ZooModel("persimmon", "dense", "persimmon"),
    ZooModel("codegen", "dense", "codegen", {"rotary_dim": 8, "n_ctx": WINDOW}),
    ZooModel("biogpt", "dense", "biogpt"),
    ZooModel("xglm", "dense", "xglm", {"ffn_dim": 96}),
    ZooModel("helium", "dense", "helium"),
    ZooModel("seed-oss", "dense", "seed_oss"),
    ZooModel("diffllama", "dense", "diffllama"),
    ZooModel("minicpm3", "dense", "minicpm3", _MLA),
    ZooModel("nanochat", "dense", "nanochat"),
    ZooModel("bitnet", "dense", "bitnet"),
    ZooModel("apertus", "dense", "apertus"),
    ZooModel("ctrl", "dense", "ctrl", {"dff": 96, "initializer_range": 0.05}),  # it multiplies embeddings by 8
    ZooModel("gpt1", "dense", "openai-gpt"),
    ZooModel("arcee", "dense", "arcee"),
    ZooModel("hunyuan", "dense", "hunyuan_v1_dense"),
    ZooModel("vaultgemma", "windowed", "vaultgemma", {"sliding_window": 24}),
    ZooModel("modernbert-decoder", "windowed", "modernbert-decoder", {**_ENDS, "local_attention": 24}),
    ZooModel("gemma4-text", "windowed", "gemma4_text", _GEMMA4),
    ZooModel("gemma3n-text", "windowed", "gemma3n_text", _GEMMA3N),
)

_EXPERTS = (
    ZooModel("mixtral", "experts", "mixtral", {"num_local_experts": 4}),
    ZooModel("qwen2-moe", "experts", "qwen2_moe", {**_ROUTED, "num_experts": 4, "shared_expert_intermediate_size": 48}),
    ZooModel("qwen3-moe", "experts", "qwen3_moe", {**_ROUTED, "num_experts": 4}),
    ZooModel("phimoe", "experts", "phimoe", {"num_local_experts": 4}),
    ZooModel("jetmoe", "experts", "jetmoe", {"num_local_experts": 4, "kv_channels": 16}),
    ZooModel(
        "ernie4.5-moe", "experts", "ernie4_5_moe", {"moe_num_experts": 4, "moe_k": 2, "moe_intermediate_size": 32}
    ),
    ZooModel("granitemoe", "experts", "granitemoe", {"num_local_experts": 4}),
    ZooModel("granitemoe-shared", "experts", "granitemoeshared", {"num_local_experts": 4}),
    ZooModel("olmoe", "experts", "olmoe", {"num_experts": 4, "num_experts_per_tok": 2, "clip_qkv": 4.0}),
    ZooModel("deepseek-v2", "experts", "deepseek_v2", {**_MLA, **_ROUTED, "n_routed_experts": 4}),
    ZooModel(
        "deepseek-v3",
        "experts",
        "deepseek_v3",
        {**_MLA, **_ROUTED, "n_routed_experts": 8, "n_group": 2, "topk_group": 1, "first_k_dense_replace": 1},
    ),
    ZooModel(
        "llama4-text",
        "experts",
        "llama4_text",
        {
            "num_local_experts": 4,
            "intermediate_size_mlp": 96,
            "attention_chunk_size": 24,
            "no_rope_layers": [1, 0],
        },
    ),
    ZooModel("gpt-oss", "experts", "gpt_oss", {"num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": 24}),
    ZooModel("glm4-moe", "experts", "glm4_moe", {**_ROUTED, "n_routed_experts": 4}),
    ZooModel("dots1", "experts", "dots1", {**_ROUTED, "n_routed_experts": 4, "n_shared_experts": 1}),
    ZooModel("flex-olmo", "experts", "flex_olmo", {"num_experts": 4, "num_experts_per_tok": 2}),
    ZooModel("hunyuan-moe", "experts", "hunyuan_v1_moe", {"num_experts": 4, "moe_topk": 2}),
)

_STATE = (
    ZooModel("mamba", "state", "mamba", {"state_size": 8}),
    ZooModel(
        "mamba2",
        "state",
        "mamba2",
        {"num_heads": 8, "head_dim": 16, "state_size": 8, "n_groups": 2, "chunk_size": 16},
    ),
    ZooModel("falcon-mamba", "state", "falcon_mamba", {"state_size": 8}),
    ZooModel("rwkv", "state", "rwkv"),
)

_HYBRID = (
    ZooModel("jamba", "hybrid", "jamba", {"num_experts": 4, "attn_layer_period": 2, "attn_layer_offset": 1}),
    ZooModel(
        "zamba2",
        "hybrid",
        "zamba2",
        {
            "layers_block_type": ["mamba", "hybrid"],
            "n_mamba_heads": 8,
            "mamba_headdim": 16,
            "mamba_d_state": 8,
            "chunk_size": 16,
            "head_dim": ABSENT,
            "num_key_value_heads": 4,
            "adapter_rank": 8,
        },
    ),
    ZooModel("falcon-h1", "hybrid", "falcon_h1", {**_MAMBA2, "mamba_d_ssm": 128}),
    ZooModel("bamba", "hybrid", "bamba", {**_MAMBA2, "attn_layer_indices": [1]}),
    ZooModel("recurrent-gemma", "hybrid", "recurrent_gemma", {"attention_window_size": 24, "num_hidden_layers": 3}),
    ZooModel(
        "qwen3-next",
        "hybrid",
        "qwen3_next",
        {
            **_DELTA_NET,
            **_ROUTED,
            "num_experts": 4,
            "shared_expert_intermediate_size": 32,
        },
    ),
    ZooModel("qwen3.5-text", "hybrid", "qwen3_5_text", _DELTA_NET),
    ZooModel(
        "qwen3.5-moe-text",
        "hybrid",
        "qwen3_5_moe_text",
        {**_DELTA_NET, **_ROUTED, "num_experts": 4, "shared_expert_intermediate_size": 32},
    ),
    ZooModel("lfm2", "hybrid", "lfm2", {"layer_types": ["conv", "full_attention"]}),
    ZooModel(
        "lfm2-moe",
        "hybrid",
        "lfm2_moe",
        {**_ROUTED, "layer_types": ["conv", "full_attention"], "num_experts": 4, "num_dense_layers": 1},
    ),
    ZooModel(
        "kimi-linear",
        "hybrid",
        "kimi_linear",
        {
            **_MLA,
            **_ROUTED,
            "q_lora_rank": None,
            "num_local_experts": 4,
            "linear_head_dim": 16,
            "linear_num_heads": 4,
            "layer_types": ["linear_attention", "full_attention"],
        },
    ),
    ZooModel("olmo-hybrid", "hybrid", "olmo_hybrid"),
    ZooModel("minimax", "hybrid", "minimax", {"num_local_experts": 4, "block_size": 16}),
    ZooModel(
        "nemotron-h",
        "hybrid",
        "nemotron_h",
        {
            "layers_block_type": ["mamba", "attention", "moe"],
            "num_hidden_layers": 3,
            "mamba_num_heads": 8,
            "mamba_head_dim": 16,
            "ssm_state_size": 8,
            "n_groups": 2,
            "chunk_size": 16,
            "n_routed_experts": 4,
            "moe_intermediate_size": 32,
            "moe_shared_expert_intermediate_size": 32,
        },
    ),
    ZooModel(
        "granitemoe-hybrid",
        "hybrid",
        "granitemoehybrid",
        {**_MAMBA2, "layer_types": ["mamba", "attention"], "num_local_experts": 4, "shared_intermediate_size": 48},
    ),
)

_MULTIMODAL = (
    ZooModel(
        "gemma3",
        "multimodal",
        "gemma3",
        {"text_config": _text(sliding_window=24), "vision_config": _SIGLIP, "mm_tokens_per_image": 4},
        text_only=False,
    ),
    ZooModel(
        "mllama",
        "multimodal",
        "mllama",
        {
            "text_config": _text(bos_token_id=1, eos_token_id=1, num_hidden_layers=3, cross_attention_layers=[1]),
            "vision_config": {
                "hidden_size": 32,
                "intermediate_size": 48,
                "num_hidden_layers": 2,
                "num_global_layers": 1,
                "attention_heads": 2,
                "image_size": 28,
                "intermediate_layers_indices": [0],
                "vision_output_dim": 64,
            },
        },
        text_only=False,
    ),
    ZooModel(
        "llava",
        "multimodal",
        "llava",
        {"text_config": _text(model_type="llama"), "vision_config": _CLIP, "image_token_index": 300},
        text_only=False,
    ),
    ZooModel(
        "qwen2-vl",
        "multimodal",
        "qwen2_vl",
        {
            "text_config": _text(rope_parameters={"rope_type": "default", "mrope_section": [2, 3, 3]}),
            "vision_config": {**_QWEN_VISION, "embed_dim": 32},
            "image_token_id": 300,
            "video_token_id": 301,
            "vision_start_token_id": 302,
            "vision_end_token_id": 303,
        },
        text_only=False,
    ),
    ZooModel(
        "qwen3-vl",
        "multimodal",
        "qwen3_vl",
        {
            "text_config": _text(rope_parameters={"rope_type": "default", "mrope_section": [4, 2, 2]}),
            "vision_config": {**_QWEN_VISION, "intermediate_size": 48, "out_hidden_size": HIDDEN},
            "image_token_id": 300,
            "video_token_id": 301,
            "vision_start_token_id": 302,
            "vision_end_token_id": 303,
        },
        text_only=False,
    ),
    ZooModel(
        "gemma4",
        "multimodal",
        "gemma4",
        {
            "text_config": _text(**_GEMMA4),
            "vision_config": {
                "hidden_size": 32,
                "intermediate_size": 48,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
                "num_key_value_heads": 2,
                "head_dim": 16,
                "position_embedding_size": 64,
            },
            "audio_config": None,
        },
        text_only=False,
    ),
)

NOT_CAUSAL = (
    ZooModel("bert", "dense", "bert"),
    ZooModel(
        "paligemma",
        "multimodal",
        "paligemma",
        {
            "text_config": _text(model_type="gemma"),
            "vision_config": {**_SIGLIP, "projection_dim": HIDDEN},
            "image_token_index": 300,
            "projection_dim": HIDDEN,
            "hidden_size": HIDDEN,
        },
        text_only=False,
    ),
)
"""Models in which a token sees those that follow it: nothing of the next token can be learnt from them."""

ZOO: tuple[ZooModel, ...] = (*_DENSE, *_EXPERTS, *_STATE, *_HYBRID, *_MULTIMODAL)

FAST = frozenset(
    {
        "llama", "phi", "phi3", "gemma2", "olmo-clipped", "gpt2", "gpt-neox", "opt", "bloom", "falcon", "mpt",
        "granite", "qwen2-moe", "phimoe", "ernie4.5-moe", "deepseek-v3", "llama4-text", "gpt-oss", "mamba", "mamba2",
        "jamba", "falcon-h1", "recurrent-gemma", "qwen3-next", "gemma3", "mllama", "modernbert-decoder",
    }
)  # fmt: skip
"""The third that `make test` runs: one of each kind of fault that was seen."""


def zoo_parameters() -> list[Any]:
    """All models as pytest parameters; those outside `FAST` are marked slow."""
    return [pytest.param(m, id=m.name, marks=() if m.fast else pytest.mark.slow) for m in ZOO]


def listed_experts() -> Any:
    """A Llama whose layers send each token to one of four linear experts by its first number; the last gets none."""

    class Experts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.experts = nn.ModuleList(nn.ModuleDict({"proj": nn.Linear(64, 64)}) for _ in range(4))

        def forward(self, hidden: torch.Tensor) -> torch.Tensor:
            flat = hidden.reshape(-1, hidden.shape[-1])
            out, choice = flat.clone(), (flat[:, 0] > 0).long() + (flat[:, 1] > 0).long()
            for index, expert in enumerate(self.experts):
                rows = (choice == index).nonzero().flatten()
                if len(rows):
                    out[rows] = expert["proj"](flat[rows])
            return out.view_as(hidden)

    module = ZOO[0].module()
    for layer in module.model.layers:
        layer.mlp = Experts()
    return module.requires_grad_(False)
