"""Thoughts of every model family go; what is no thought stays letter for letter."""

from __future__ import annotations

import pytest

from seal_agent.text.reasoning import without_reasoning

THOUGHTS = (
    "<think>\nIt is in France, so …\n</think>\n\nParis",
    "<think></think>Paris",
    "<think>\n\n</think>\n\nParis",
    "Okay, the user asks for the capital.\nIt is Paris.\n</think>\n\nParis",
    "They ask. </think> Paris",
    "They ask.</think>Paris",
    "</think>\n\nParis",
    "<thinking>It is <b>old</b>.</thinking>Paris",
    "<THINK>a</THINK>\nParis",
    "<think>one</think>\n<think>two</think>\nParis",
    "<think>they wrote <think> twice</think></think>\nParis",
    "<think>they wrote <think> once</think>\nParis",
    "<reasoning>Because.</reasoning>\nParis",
    "<seed:think>Hm.</seed:think>Paris",
    "[THINK]Hm.[/THINK]Paris",
    "◁think▷Hm.◁/think▷Paris",
    "<|START_THINKING|>Hm.<|END_THINKING|>Paris",
    "<|channel|>analysis<|message|>They ask.<|end|><|start|>assistant<|channel|>final<|message|>Paris<|return|>",
    "<|channel|>analysis<|message|>They ask.<|end|><|start|>assistant<|channel|>final<|message|>Paris",
    "analysisThey ask for a capital.assistantfinalParis",
    "<|channel>thought\nThey ask.<channel|>Paris",
)

ANSWERS = (
    "Paris",
    "",
    "  Paris,\n\nwhich lies on the Seine. ",
    "The tag <think> opens a block of thoughts.",
    "Models write `</think>` behind their thoughts.",
    'Between "<think>" and "</think>" a model thinks.',
    "analysis of the final result: 3",
    "Analysis\n\nThe assistant said so, finally.",
    "I think, therefore I am.",
    "a < b and c > d",
    "[reason]able doubt",
)


@pytest.mark.parametrize("text", THOUGHTS)
def test_what_was_thought_is_left_out(text: str) -> None:
    assert without_reasoning(text) == "Paris"


@pytest.mark.parametrize(
    "text", ["<think>\nIt is in", "  <think>", "<|channel|>analysis<|message|>They ask", "<think>a</think><think>b"]
)
def test_who_never_stops_thinking_has_not_answered(text: str) -> None:
    assert without_reasoning(text) == ""


@pytest.mark.parametrize("text", ANSWERS)
def test_everything_else_stays(text: str) -> None:
    assert without_reasoning(text) == text
