"""A tiny llama as a GGUF file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from gguf import GGUFWriter, TokenType
from tokenizers import pre_tokenizers

HIDDEN, INNER, HEADS, LAYERS = 64, 96, 4, 2
BOS, EOS = "<bos>", "<eos>"


def write_gguf(
    path: Path,
    add_bos: bool | None,
    seed: int = 0,
    *,
    pre: str = "",
    parts: int = 1,
    without: Sequence[str] = (),
    more: Mapping[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]] | None = None,
    scaling: Mapping[str, str | int | float] | None = None,
) -> Path:
    """Random weights in float32; one token per byte.

    Args:
        add_bos: What the metadata says of BOS; None where it says nothing.
        pre: The pre-tokenizer's name.
        parts: How many files the model was split into, this being one of them.
        without: Tensors that are left out.
        more: Tensors that are added.
        scaling: What the metadata says of stretched positions, by names below `llama.rope.scaling.`.
    """
    draw = np.random.default_rng(seed)
    tokens = [BOS, EOS, *sorted(pre_tokenizers.ByteLevel.alphabet()), "Ġt"]
    writer = GGUFWriter(path, "llama")
    writer.add_block_count(LAYERS)
    writer.add_context_length(512)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([TokenType.CONTROL] * 2 + [TokenType.NORMAL] * (len(tokens) - 2))
    writer.add_token_merges(["Ġ t"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    if add_bos is not None:
        writer.add_add_bos_token(add_bos)
    if pre:
        writer.add_tokenizer_pre(pre)
    for name, value in (scaling or {}).items():
        add = {str: writer.add_string, int: writer.add_uint32, float: writer.add_float32}[type(value)]
        add(f"llama.rope.scaling.{name}", value)
    if parts > 1:
        writer.add_uint16("split.count", parts)

    def weights(*shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        return (draw.standard_normal(shape) * 0.2).astype(np.float32)

    tensors = {
        "token_embd.weight": weights(len(tokens), HIDDEN),
        "output_norm.weight": np.ones(HIDDEN, np.float32),
        "output.weight": weights(len(tokens), HIDDEN),
    }
    for layer in range(LAYERS):
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            tensors[f"blk.{layer}.{name}.weight"] = weights(HIDDEN, HIDDEN)
        for name in ("ffn_gate", "ffn_up"):
            tensors[f"blk.{layer}.{name}.weight"] = weights(INNER, HIDDEN)
        tensors[f"blk.{layer}.ffn_down.weight"] = weights(HIDDEN, INNER)
        for name in ("attn_norm", "ffn_norm"):
            tensors[f"blk.{layer}.{name}.weight"] = np.ones(HIDDEN, np.float32)
    for name, tensor in {**tensors, **(more or {})}.items():
        if name not in without:
            writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
