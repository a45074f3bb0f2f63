"""Passages that select and that confirm share nothing, not even a title."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tuning_fakes import CONFIG, passages

from seal_agent.config import TuneConfig
from seal_agent.errors import InputError
from seal_agent.outer_loop.tuning.passages import split_passages
from seal_agent.outer_loop.tuning.stages import passage_id
from seal_agent.types import Context


def test_selecting_confirming_and_neutral_are_disjoint_to_the_title():
    several = [Context(f"{c.text} Part {part}.", c.title, c.questions) for c in passages(60) for part in range(3)]
    config = TuneConfig(stages=(2, 6), confirming=10, neutral=4)
    split = split_passages(several, config)
    assert (len(split.selecting), len(split.confirming), len(split.neutral)) == (6, 10, 4)
    titles = [{c.title for c in group} for group in (split.selecting, split.confirming)]
    assert not titles[0] & titles[1]
    by_text = {c.text: c.title for c in several}
    assert not {by_text[text] for text in split.neutral} & (titles[0] | titles[1])
    assert split_passages(several[::-1], config) != split_passages(several, TuneConfig(stages=(2, 6), seed=1))


def test_texts_that_show_harm_come_from_the_package_where_the_data_has_none_left():
    split = split_passages(passages(4), CONFIG)
    assert len(split.neutral) == CONFIG.neutral
    assert not {c.text for c in passages(4)} & set(split.neutral)


def test_too_little_data_is_refused_with_what_there_is():
    with pytest.raises(InputError, match="the data has 3 with questions, of 3 titles"):
        split_passages([*passages(3), Context("no question", "t")], CONFIG)


def test_what_chose_a_recipe_of_another_run_confirms_nothing():
    contexts, config = passages(12), TuneConfig(stages=(2, 6), confirming=6, neutral=1)
    first = split_passages(contexts, config)
    searched = [passage_id(context) for context in first.selecting]
    second = split_passages(contexts, config, searched)
    assert set(second.confirming) == set(contexts) - set(first.selecting)
    searched.append(passage_id(first.confirming[0]))
    with pytest.raises(InputError, match=r"12 with questions, of 12 titles, 7 of which chose a recipe of --from"):
        split_passages(contexts, config, searched)


@pytest.mark.parametrize("sizes", [(30, 30), (24, 10, 14), (40, 26, 3)])
def test_few_titles_are_enough_where_they_hold_enough_passages(sizes: tuple[int, ...]) -> None:
    contexts = [
        Context(f"{c.text} Part {part}.", c.title, c.questions)
        for c, size in zip(passages(len(sizes)), sizes, strict=True)
        for part in range(size)
    ]
    for seed in range(4):
        split = split_passages(contexts, TuneConfig(seed=seed))
        assert (len(split.selecting), len(split.confirming)) == (24, 24)
        assert not {c.title for c in split.selecting} & {c.title for c in split.confirming}
    with pytest.raises(InputError, match="of 1 titles"):
        split_passages([replace(context, title="one") for context in contexts], TuneConfig())
