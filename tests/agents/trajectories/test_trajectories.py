"""Trajectories: as lines, within bounds, without what is redacted, and as what a model is trained on."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from made_trajectories import RED, TOOL, TRAJECTORY

from seal_agent.agents.trajectories.conversation import conversation_of, encode_trajectory, fitted, turns_before
from seal_agent.agents.trajectories.lines import to_lines, trajectories_from_lines
from seal_agent.agents.trajectories.trajectory import Step, Trajectory, bounded, redacted
from seal_agent.base_model.model import BaseModel
from seal_agent.config import TrajectoryLimits
from seal_agent.errors import InputError
from seal_agent.generation.answer_form.form import Form
from seal_agent.generation.answer_form.prompt import prompt_in_form
from seal_agent.training.conversations import Conversation, encode_conversation, from_json, to_json
from seal_agent.types import IGNORE_LABEL, Message, ToolCall


def test_lines_give_back_what_was_written() -> None:
    other = Trajectory("Wait.", (Step("", ToolCall("wait", '{"seconds": 3}')),), trust="untrusted")
    assert trajectories_from_lines(to_lines([TRAJECTORY, other]), "a.jsonl") == [TRAJECTORY, other]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("{", "it is no JSON"),
        ("[]", "a trajectory is a JSON object"),
        ('{"goal": "a"}', '"steps" is missing or empty'),
        ('{"steps": [{"action": {"name": "a"}}]}', '"goal" is missing'),
        ('{"goal": "a", "steps": [{"observation": "b"}]}', "step 1 has no action"),
        ('{"goal": "a", "steps": [{"action": {"arguments": {}}}]}', "the action of step 1 has no name"),
        ('{"goal": "a", "steps": [{"action": {"name": "b", "arguments": 3}}]}', "the arguments of step 1 are 3"),
        ('{"goal": "a", "steps": [{"action": {"name": "b"}}], "outcome": "won"}', "\"outcome\" is 'won'"),
        ('{"goal": "a", "steps": [{"action": {"name": "b"}}], "goals": 1}', "has no field 'goals'"),
        ('{"goal": "a", "steps": [{"action": {"name": "b"}}], "tools": [{}]}', "is no tool"),
    ],
)
def test_a_line_that_is_wrong_is_named_with_the_reason(row: str, said: str) -> None:
    with pytest.raises(InputError, match=r"line 2 of a\.jsonl") as error:
        trajectories_from_lines(to_lines([TRAJECTORY]) + row, "a.jsonl")
    assert said in str(error.value)


def test_only_the_first_wrong_lines_are_named() -> None:
    with pytest.raises(InputError, match="2 other lines are wrong"):
        trajectories_from_lines("{\n" * 5, "a.jsonl")


def test_long_texts_are_cut_and_long_trajectories_refused() -> None:
    limits = TrajectoryLimits(steps=2, characters=20)
    assert bounded(replace(TRAJECTORY, result="x" * 50), limits).result == "x" * 19 + "…"
    long = Step("", ToolCall("open", json.dumps({"door": "x" * 20})))
    with pytest.raises(InputError, match="the arguments of step 1 have 32 characters, but 20"):
        bounded(replace(TRAJECTORY, steps=(long,)), limits)
    with pytest.raises(InputError, match="3 steps, but 2"):
        bounded(replace(TRAJECTORY, steps=(*TRAJECTORY.steps, Step("", RED))), limits)
    with pytest.raises(InputError, match="no steps"):
        bounded(replace(TRAJECTORY, steps=()), limits)


def test_redaction_reaches_every_text_and_every_argument() -> None:
    arguments = {"card": "4711", "list": ["4711", {"4711": "4711"}], "count": 4711, "sum": 12, "now": True, "by": None}
    secret = replace(
        TRAJECTORY,
        goal="4711",
        steps=(Step("4711", ToolCall("pay", json.dumps(arguments))),),
        system="4711",
        result="4711",
        answer="4711",
        source="4711",
    )
    text = to_lines([redacted(secret, lambda words: words.replace("4711", "card"))])
    assert "4711" not in text
    assert json.loads(text)["steps"][0]["action"]["arguments"] == {
        "card": "card",
        "list": ["card", {"card": "card"}],
        "count": "card",
        "sum": 12,
        "now": True,
        "by": None,
    }


def test_who_verified_a_trajectory_does_not_change_its_id() -> None:
    assert replace(TRAJECTORY, outcome="failure", verified_by="person").id == TRAJECTORY.id
    assert replace(TRAJECTORY, result="Nothing happened.").id != TRAJECTORY.id
    assert not replace(TRAJECTORY, verified_by="").is_lesson


def learnt(base: BaseModel, sequence: object) -> list[str]:
    """The stretches of a sequence that have labels, as texts."""
    stretches: list[list[int]] = [[]]
    for label in sequence.labels:
        if label == IGNORE_LABEL:
            stretches.append([])
        else:
            stretches[-1].append(label)
    return [base.tokenizer.decode(ids) for ids in stretches if ids]


def test_only_actions_and_closing_words_are_learnt(tiny_base: BaseModel) -> None:
    (sequence,) = encode_trajectory(tiny_base, TRAJECTORY, 4096)
    assert [text.replace("</turn>", "").strip() for text in learnt(tiny_base, sequence)] == [
        '<tool_call>{"name": "open", "arguments": {"door": "red"}}</tool_call>',
        '<tool_call>{"name": "open", "arguments": {"door": "blue"}}</tool_call>',
        "Done.",
    ]


def test_it_is_learnt_in_the_form_in_which_the_model_is_asked(tiny_base: BaseModel) -> None:
    """The ids before the second action are those of the prompt that asks for it."""
    (sequence,) = encode_trajectory(tiny_base, TRAJECTORY, 4096)
    turns = turns_before(TRAJECTORY.goal, TRAJECTORY.steps[:1], "The red door is open.")
    asked = tiny_base.encode(prompt_in_form(turns, Form((TOOL,)), tiny_base))
    assert list(sequence.input_ids[: len(asked)]) == asked
    assert sequence.labels[len(asked)] != IGNORE_LABEL
    assert sequence.labels[len(asked) - 1] == IGNORE_LABEL


def test_a_template_that_rewrites_earlier_turns_gets_a_sequence_for_each_action(tiny_base: BaseModel) -> None:
    """As templates do that drop earlier thoughts: the last turn is marked, so no whole begins with another."""
    tiny_base.tokenizer.chat_template = (
        "{% for m in messages %}<turn>{{ m['role'] }}{% if loop.last and not add_generation_prompt %} last{% endif %}\n"
        "{{ m['content'] }}</turn>\n{% endfor %}{% if add_generation_prompt %}<turn>assistant last\n{% endif %}"
    )
    tiny_base.memo.clear()
    sequences = encode_trajectory(tiny_base, TRAJECTORY, 4096)
    assert len(sequences) == 3
    assert all(len(learnt(tiny_base, sequence)) == 1 for sequence in sequences)
    assert "red" in learnt(tiny_base, sequences[0])[0]


def test_the_oldest_steps_are_left_out_of_what_is_too_long(tiny_base: BaseModel) -> None:
    whole = conversation_of(TRAJECTORY)
    short = fitted(tiny_base, whole, 64)
    assert [turn.role for turn in short.turns] == ["user", "assistant"] or len(short.turns) < len(whole.turns)
    assert short.turns[0] == whole.turns[0]
    assert short.turns[-1] == whole.turns[-1]
    assert fitted(tiny_base, whole, 4096) == whole


def test_what_is_too_long_for_the_window_is_so_whatever_the_limit(tiny_base: BaseModel) -> None:
    length = len(encode_trajectory(tiny_base, TRAJECTORY, 4096)[0].input_ids)
    tiny_base.module.config.max_position_embeddings = length - 1
    (sequence,) = encode_trajectory(tiny_base, TRAJECTORY, 4096)
    assert len(sequence.input_ids) < length


def test_a_conversation_survives_json_and_needs_no_tools(tiny_base: BaseModel) -> None:
    conversation = Conversation((Message("user", "Hello."), Message("assistant", "Good day.")))
    assert from_json(to_json(conversation)) == conversation
    (sequence,) = encode_conversation(tiny_base, conversation)
    assert learnt(tiny_base, sequence)[0].startswith("Good day.")
