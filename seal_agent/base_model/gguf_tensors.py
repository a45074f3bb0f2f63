"""Tensors of a GGUF file that transformers leaves out: rotary frequencies become settings, others are refused.

llama.cpp divides each rotary frequency by an element of `rope_freqs.weight`. For Llama 3.1 and later its converter
works the elements out from the config's "llama3" scaling, so that the scaling can be found from them again.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from seal_agent.base_model.whole import listed
from seal_agent.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

_FREQUENCIES = "rope_freqs.weight"
# What transformers leaves out on purpose: llama.cpp's multi-token prediction, and tables that it computes itself.
_UNUSED = (".nextn.", "attn_rot_embd")
_LLAMA3 = {"rope_type": "llama3", "low_freq_factor": 1.0, "high_freq_factor": 4.0}  # of every Llama 3 so far
_ORIGINAL_WINDOWS = (8192, 2048, 4096, 16384, 32768, 65536, 131072)  # the first is that of every Llama 3 so far
_ROUNDING = 1e-5  # both sides compute in float32 or better


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


def has_frequencies(module: PreTrainedModel, divisors_F: Tensor) -> bool:
    """Whether the model's own frequencies are already those of its base, divided by these numbers."""
    import torch

    buffers = [buffer for name, buffer in module.named_buffers() if name.endswith("inv_freq")]
    return any(
        torch.allclose(buffer.float().cpu(), plain_F / divisors_F, rtol=_ROUNDING, atol=1e-20)
        for buffer in buffers
        if len(buffer) == len(divisors_F)
        for plain_F in [_plain_frequencies(theta, len(divisors_F)) for theta in _thetas(module.config)]
    )


def scale_frequencies(module: PreTrainedModel, divisors_F: Tensor) -> bool:
    """Set the "llama3" scaling that divides the frequencies by these numbers; False where none does.

    Only the config changes, so the model has to be saved and loaded again.
    """
    import torch
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    rope = dict(getattr(module.config, "rope_parameters", None) or {})
    if rope.get("rope_type") != "default" or not math.isfinite(factor := float(divisors_F.max())):
        return False
    wanted_F = _plain_frequencies(rope["rope_theta"], len(divisors_F)) / divisors_F
    for window in _ORIGINAL_WINDOWS:
        scaled = {**rope, **_LLAMA3, "factor": factor, "original_max_position_embeddings": window}
        trial = copy.deepcopy(module.config)
        trial.rope_parameters = scaled
        given_F, _ = ROPE_INIT_FUNCTIONS["llama3"](trial, torch.device("cpu"))
        if len(given_F) == len(wanted_F) and torch.allclose(given_F, wanted_F, rtol=_ROUNDING, atol=0):
            module.config.rope_parameters = scaled
            return True
    return False


def _plain_frequencies(theta: float, count: int) -> Tensor:
    import torch

    return theta ** -(torch.arange(count, dtype=torch.float64) / count).float()


def _thetas(config: Any) -> set[float]:
    rope = getattr(config.get_text_config(), "rope_parameters", None) or {}
    kinds = [rope, *(inner for inner in rope.values() if isinstance(inner, Mapping))]
    return {float(kind["rope_theta"]) for kind in kinds if kind.get("rope_theta")}
