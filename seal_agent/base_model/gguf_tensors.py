"""Tensors of a GGUF file that transformers leaves out: rotary frequencies become settings, others are refused."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from seal_agent.base_model.gguf_rope import has_frequencies, scale_frequencies
from seal_agent.base_model.whole import listed
from seal_agent.errors import ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_FREQUENCIES = "rope_freqs.weight"
# What transformers leaves out on purpose: llama.cpp's multi-token prediction, and tables that it computes itself.
_UNUSED = (".nextn.", "attn_rot_embd")


def check_read(weights: str, module: PreTrainedModel, reader: Any, loading_info: Mapping[str, Any]) -> None:
    """Raises ModelError where a GGUF file holds tensors that the model was not given.

    Where its rotary frequencies are those of a scaling that transformers knows, the config is given that scaling.

    Args:
        weights: The file's name.
        module: The model that was loaded of it.
        reader: The file, as gguf's GGUFReader.
        loading_info: Of transformers.
    """
    import torch

    tensors = {tensor.name: tensor for tensor in reader.tensors}
    unread = _unread(module, reader.fields["general.architecture"].contents(), tensors.keys(), loading_info)
    if _FREQUENCIES in unread:
        divisors_F = torch.tensor(tensors[_FREQUENCIES].data, dtype=torch.float32)
        if has_frequencies(module, divisors_F) or scale_frequencies(module, divisors_F):
            unread.discard(_FREQUENCIES)
    if unread:
        raise ModelError(
            f"the file {weights} holds tensors that transformers leaves out ({listed(unread)}), without which it is "
            "another model; load the model as safetensors, from its folder or hub id"
        )


def _unread(
    module: PreTrainedModel, architecture: str, names: Collection[str], loading_info: Mapping[str, Any]
) -> set[str]:
    from transformers.integrations.gguf.utils import is_gguf_arch_supported
    from transformers.modeling_gguf_pytorch_utils import TENSOR_PROCESSORS, TensorProcessor, get_gguf_hf_weights_map

    if is_gguf_arch_supported(architecture):
        unread = set(loading_info["unexpected_keys"])
    else:  # the older reader drops what it does not know before anybody is told
        processor = TENSOR_PROCESSORS.get(architecture, TensorProcessor)(config=module.config.to_dict())
        read = get_gguf_hf_weights_map(module, processor)
        # Experts are held as one parameter, whose name has no suffix.
        unread = {name for name in names if name not in read and name.removesuffix(".weight") not in read}
    return {name for name in unread if not any(part in name for part in _UNUSED)}
