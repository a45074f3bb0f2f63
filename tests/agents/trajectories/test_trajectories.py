"""Trajectories: as lines, within bounds, without what is redacted, and as what a model is trained on."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from made_trajectories import RED, TOOL, TRAJECTORY

from seal_agent.agents.trajectories.conversation import (
    CUT,
    LEAST_SEEN,
    conversations_of,
    encode_trajectory,
    fitted_before,
    turns_before,
)
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


LONG = replace(
    TRAJECTORY,
    steps=tuple(
        Step(f"Hall {number}: " + "x" * 150, ToolCall("open", json.dumps({"door": f"door {number}"})))
        for number in range(6)
    ),
    result="Open.",
    answer="",
)


def read_before(base: BaseModel, run: Trajectory, number: int, room: int) -> list[int]:
    """The ids that an agent reads before a step."""
    step = run.steps[number]
    turns = fitted_before(base, run.goal, run.steps[:number], step.observation, run.tools, room)
    return base.encode(prompt_in_form(turns, Form(run.tools), base))


def test_the_oldest_steps_are_left_out_of_what_is_too_long(tiny_base: BaseModel) -> None:
    goal, steps, seen = LONG.goal, LONG.steps[:5], LONG.steps[5].observation
    whole = turns_before(goal, steps, seen)
    assert fitted_before(tiny_base, goal, steps, seen, (TOOL,), 4096) == whole
    short = fitted_before(tiny_base, goal, steps, seen, (TOOL,), 1500)
    assert 3 < len(short) < len(whole)
    assert short == (whole[0], *whole[-len(short) + 1 :])


def test_each_action_of_a_long_trajectory_is_learnt_after_what_is_read_before_it(tiny_base: BaseModel) -> None:
    """Older steps are left out in training just where they are in acting, and every action is learnt once."""
    room = 1500
    sequences = encode_trajectory(tiny_base, LONG, room, action_tokens=128)
    said = [text for sequence in sequences for text in learnt(tiny_base, sequence)]
    assert [text.split('"door": ')[1][:8] for text in said] == [f'"door {number}"' for number in range(6)]
    begun = [
        (list(sequence.input_ids[:place]), sequence.input_ids[place])
        for sequence in sequences
        for place in range(1, len(sequence.labels))
        if sequence.labels[place] != IGNORE_LABEL and sequence.labels[place - 1] == IGNORE_LABEL
    ]
    assert [ids for ids, _ in begun] == [read_before(tiny_base, LONG, number, room) for number in range(6)]
    assert len(sequences) < 6, "what is read in full is learnt in one sequence"


def test_a_trajectory_that_fits_is_one_conversation_all_of_which_is_learnt(tiny_base: BaseModel) -> None:
    (whole,) = conversations_of(tiny_base, TRAJECTORY, 4096)
    assert whole.learnt is None
    assert "learnt" not in to_json(whole), "what was written before is told from what is new by its hash"
    cut = conversations_of(tiny_base, LONG, 1500)
    assert len(cut) > 1
    assert from_json(to_json(cut[-1])) == cut[-1]
    assert max(len(each.input_ids) for each in encode_trajectory(tiny_base, LONG, 1500)) <= 1500


@pytest.mark.parametrize("before", [0, 1, 3])
def test_a_long_observation_is_cut_in_acting_and_in_training_alike(tiny_base: BaseModel, before: int) -> None:
    """What is seen now goes before what was seen at first."""
    page = Step("page " + "y" * 2000, LONG.steps[0].call)
    run = replace(LONG, steps=(*[replace(page, observation="z" * 900)] * before, page))
    turns = fitted_before(tiny_base, run.goal, run.steps[:-1], page.observation, (TOOL,), 1400)
    assert len(read_before(tiny_base, run, before, 1400)) <= 1400
    assert turns[-1].content.endswith(CUT)
    assert "page yyy" in turns[-1].content
    assert turns[0].content.startswith(run.goal)
    sequence = encode_trajectory(tiny_base, run, 1400, action_tokens=128)[-1]
    asked = read_before(tiny_base, run, before, 1400)
    assert list(sequence.input_ids[: len(asked)]) == asked


def test_a_little_of_what_is_seen_stays_however_little_room_there_is(tiny_base: BaseModel) -> None:
    (turn,) = fitted_before(tiny_base, "Go.", (), "y" * 900, (TOOL,), 40)
    assert turn.content == "Go.\n\n" + "y" * LEAST_SEEN + CUT


def test_calls_that_failed_are_read_and_not_learnt(tiny_base: BaseModel) -> None:
    wrong, right = TRAJECTORY.steps
    run = replace(TRAJECTORY, steps=(replace(wrong, failed=True), right))
    (sequence,) = encode_trajectory(tiny_base, run, 4096)
    assert ["red" in text for text in learnt(tiny_base, sequence)] == [False, False]
    assert tiny_base.tokenizer.decode(sequence.input_ids).count('"door": "red"') == 1
    assert run.id != TRAJECTORY.id
    assert not replace(run, steps=run.steps[:1], answer="").is_lesson, "there is nothing to learn"


def test_lines_say_which_calls_failed_and_those_of_before_say_nothing(tiny_base: BaseModel) -> None:
    run = replace(TRAJECTORY, steps=(replace(TRAJECTORY.steps[0], failed=True), TRAJECTORY.steps[1]))
    assert trajectories_from_lines(to_lines([run]), "a.jsonl") == [run]
    assert to_lines([run]).count("failed") == 1
    with pytest.raises(InputError, match=r'"failed" of step 1 is 3'):
        trajectories_from_lines('{"goal": "a", "steps": [{"action": {"name": "b"}, "failed": 3}]}', "a.jsonl")


def test_what_is_too_long_for_the_window_is_so_whatever_the_limit(tiny_base: BaseModel) -> None:
    length = len(encode_trajectory(tiny_base, TRAJECTORY, 4096)[0].input_ids)
    tiny_base.module.config.max_position_embeddings = length - 1
    for free in (None, 1):
        assert all(len(each.input_ids) < length for each in encode_trajectory(tiny_base, TRAJECTORY, 4096, free))


def test_a_conversation_survives_json_and_needs_no_tools(tiny_base: BaseModel) -> None:
    conversation = Conversation((Message("user", "Hello."), Message("assistant", "Good day.")))
    assert from_json(to_json(conversation)) == conversation
    (sequence,) = encode_conversation(tiny_base, conversation)
    assert learnt(tiny_base, sequence)[0].startswith("Good day.")
