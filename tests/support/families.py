"""Tokenizers with the control strings and chat templates of several model families, one token per byte otherwise.

The templates are shortened to how each family marks turns; they are written for these tests.
"""

from __future__ import annotations

from dataclasses import dataclass

from conftest import llama
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from seal_agent.base_model.model import BaseModel


@dataclass(frozen=True)
class Family:
    """How a family marks turns."""

    special: tuple[str, ...]
    """Special tokens; the last one ends a turn."""
    template: str
    tags: tuple[str, ...] = ()
    """Added tokens that are not special."""


def loop(opening: str, closing: str, answer: str) -> str:
    """A template of one form for all roles; {r} is the role."""
    start = opening.replace("{r}", "{{ m['role'] }}")
    return (
        "{% for m in messages %}" + start + "{{ m['content'] }}" + closing + "{% endfor %}"
        "{% if add_generation_prompt %}" + answer + "{% endif %}"
    )


MODEL = "'model' if m['role'] == 'assistant' else m['role']"
CHATML = loop("<|im_start|>{r}\n", "<|im_end|>\n", "<|im_start|>assistant\n")
TOOLS = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% if m['role'] == 'tool' %}<tool_response>\n"
    "{{ m['content'] }}\n</tool_response>{% else %}{{ m['content'] }}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
REASONING = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% if m['role'] == 'assistant' and loop.last %}"
    "<think>\n\n</think>\n\n{% endif %}{{ m['content'].split('</think>')[-1].lstrip('\n') }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
OPEN_THOUGHT = (
    "{% for m in messages %}{% if m['role'] == 'user' %}<｜User｜>{{ m['content'] }}{% else %}<｜Assistant｜>"
    "{{ m['content'].split('</think>')[-1] }}<｜end▁of▁sentence｜>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<｜Assistant｜><think>\n{% endif %}"
)
FAMILIES: dict[str, Family] = {
    "chatml": Family(("<|endoftext|>", "<|im_start|>", "<|im_end|>"), CHATML),
    "chatml with tools": Family(
        ("<|endoftext|>", "<|im_start|>", "<|im_end|>"), TOOLS, ("<tool_response>", "</tool_response>")
    ),
    "tool tags as text": Family(("<|endoftext|>", "<|im_start|>", "<|im_end|>"), TOOLS),
    "reasoning": Family(("<|endoftext|>", "<|im_start|>", "<|im_end|>"), REASONING, ("<think>", "</think>")),
    "open thought": Family(
        ("<｜begin▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>", "<｜end▁of▁sentence｜>"),
        OPEN_THOUGHT,
        ("<think>", "</think>"),
    ),
    "llama 3": Family(
        ("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
        loop(
            "<|start_header_id|>{r}<|end_header_id|>\n\n",
            "<|eot_id|>",
            "<|start_header_id|>assistant<|end_header_id|>\n\n",
        ),
    ),
    "gemma": Family(
        ("<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>"),
        loop("<start_of_turn>{r}\n", "<end_of_turn>\n", "<start_of_turn>model\n").replace("m['role']", MODEL),
    ),
    "phi": Family(
        ("<|endoftext|>", "<|system|>", "<|user|>", "<|assistant|>", "<|tool|>", "<|end|>"),
        "{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] }}<|end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|assistant|>\n{% endif %}",
    ),
    "mistral": Family(
        ("<s>", "[INST]", "[/INST]", "[TOOL_RESULTS]", "[/TOOL_RESULTS]", "</s>"),
        "<s>{% for m in messages %}{% if m['role'] == 'assistant' %}{{ m['content'] }}</s>"
        "{% elif m['role'] == 'tool' %}[TOOL_RESULTS]{{ m['content'] }}[/TOOL_RESULTS]"
        "{% else %}[INST]{{ m['content'] }}[/INST]{% endif %}{% endfor %}",
    ),
    "harmony": Family(
        ("<|start|>", "<|channel|>", "<|message|>", "<|call|>", "<|return|>", "<|end|>"),
        "{% for m in messages %}<|start|>{{ m['role'] }}{% if m['role'] == 'assistant' %}<|channel|>final{% endif %}"
        "<|message|>{{ m['content'] }}<|end|>{% endfor %}{% if add_generation_prompt %}<|start|>assistant{% endif %}",
    ),
    "command r": Family(
        ("<BOS_TOKEN>", "<|START_OF_TURN_TOKEN|>", "<|CHATBOT_TOKEN|>", "<|USER_TOKEN|>", "<|END_OF_TURN_TOKEN|>"),
        loop(
            "<|START_OF_TURN_TOKEN|><|{r}_TOKEN|>",
            "<|END_OF_TURN_TOKEN|>",
            "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>",
        ).replace("m['role']", "'CHATBOT' if m['role'] == 'assistant' else 'USER'"),
    ),
}


def family_tokenizer(family: Family) -> PreTrainedTokenizerFast:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(alphabet)}, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    outer = PreTrainedTokenizerFast(
        tokenizer_object=inner,
        eos_token=family.special[0],
        additional_special_tokens=list(family.special[1:]),
        clean_up_tokenization_spaces=False,
    )
    outer.add_tokens([AddedToken(tag, special=False, normalized=False) for tag in family.tags])
    outer.chat_template = family.template
    return outer


def family_base(name: str) -> BaseModel:
    return BaseModel(name, llama(), family_tokenizer(FAMILIES[name]), name)
