"""What every engine must do. An engine's test class inherits this and provides the fixtures `engine` and `adapters`."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator

import jsonschema
import pytest

from seal_agent.errors import InputError
from seal_agent.generation.engine import Engine
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.types import Completion, Grammar, Message, Sampling

PROMPTS = (
    "One",
    "The capital of France is",
    "Two and",
    "A rather longer prompt than all the others, about ships.",
)
GREEDY = Sampling(max_tokens=12)
WARM = Sampling(max_tokens=12, temperature=1.0, top_p=0.95, seed=3)
SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "days": {"type": "integer", "minimum": 1, "maximum": 14},
        "unit": {"enum": ["C", "F"]},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["name", "days", "unit", "tags"],
    "additionalProperties": False,
}


class EngineContract:
    """Statements about Engine; `adapters` are two that change what the model says."""

    @pytest.fixture
    def engine(self) -> Engine:
        raise NotImplementedError("give an engine")

    @pytest.fixture
    def adapters(self) -> tuple[LoraAdapter, LoraAdapter]:
        raise NotImplementedError("give two adapters")

    def test_completions_come_in_the_order_of_the_prompts(self, engine: Engine) -> None:
        together = engine.generate(PROMPTS, GREEDY)
        alone = [engine.generate([prompt], GREEDY)[0] for prompt in PROMPTS]
        assert [c.text for c in together] == [c.text for c in alone]
        assert len({c.text for c in together}) > 1

    def test_every_row_speaks_with_its_own_adapter(
        self, engine: Engine, adapters: tuple[LoraAdapter, LoraAdapter]
    ) -> None:
        first, second = adapters
        rows = [None, first, second, first, None, second]
        prompts = [PROMPTS[i % 4] for i in range(len(rows))]
        mixed = engine.generate(prompts, GREEDY, rows)
        alone = [engine.generate([p], GREEDY, [a])[0] for p, a in zip(prompts, rows, strict=True)]
        assert [c.text for c in mixed] == [c.text for c in alone]

    def test_adapters_change_what_is_said_and_none_is_the_base(
        self, engine: Engine, adapters: tuple[LoraAdapter, LoraAdapter]
    ) -> None:
        base = engine.generate([PROMPTS[1]], GREEDY)[0].text
        said = [c.text for c in engine.generate([PROMPTS[1]] * 3, GREEDY, [*adapters, None])]
        assert len({*said}) == 3
        assert said[2] == base

    def test_a_stop_string_ends_the_text_and_never_appears(self, engine: Engine) -> None:
        whole = engine.generate([PROMPTS[1]], GREEDY)[0].text
        stop = whole[3:5]
        (cut,) = engine.generate([PROMPTS[1]], Sampling(max_tokens=12, stop=("never said", stop)))
        assert cut.text == whole[: whole.index(stop)]
        assert cut.finish_reason == "stop"

    def test_max_tokens_is_respected(self, engine: Engine) -> None:
        for completion in engine.generate(PROMPTS, Sampling(max_tokens=5, temperature=1.0)):
            assert completion.tokens <= 5
            assert completion.finish_reason == ("length" if completion.tokens == 5 else "stop")

    def test_sampling_repeats_with_its_seed_and_differs_with_another(self, engine: Engine) -> None:
        texts = [c.text for c in engine.generate(PROMPTS, WARM)]
        other = Sampling(WARM.max_tokens, WARM.temperature, WARM.top_p, seed=99)
        assert [c.text for c in engine.generate(PROMPTS, WARM)] == texts
        assert [c.text for c in engine.generate(PROMPTS, other)] != texts

    def test_rows_of_one_prompt_are_sampled_apart(self, engine: Engine) -> None:
        assert len({c.text for c in engine.generate([PROMPTS[0]] * 4, WARM)}) > 1

    def test_a_stream_says_what_generate_says(self, engine: Engine, adapters: tuple[LoraAdapter, LoraAdapter]) -> None:
        turns = (Message("user", "Where is Tarawa?"),)
        for sampling in (GREEDY, WARM, Sampling(max_tokens=12, stop=("e", "\x85"))):
            for adapter in (None, adapters[0]):
                (whole,) = engine.generate([turns], sampling, [adapter])
                pieces = list(engine.stream(turns, sampling, adapter))
                assert "".join(pieces) == whole.text
                assert all(pieces)

    def test_a_stream_returns_the_whole_completion(self, engine: Engine) -> None:
        (whole,) = engine.generate([PROMPTS[1]], WARM)
        returned: list[Completion] = []

        def pieces() -> Iterator[str]:
            returned.append((yield from engine.stream(PROMPTS[1], WARM)))

        assert "".join(pieces()) == whole.text
        assert returned == [whole]

    def test_what_is_written_under_a_schema_validates(
        self, engine: Engine, adapters: tuple[LoraAdapter, LoraAdapter]
    ) -> None:
        for temperature in (0.0, 2.0):
            sampling = Sampling(120, temperature, grammar=Grammar("json_schema", json.dumps(SCHEMA)))
            for said in engine.generate(PROMPTS[:3], sampling, [None, *adapters]):
                assert said.finish_reason == "stop"
                jsonschema.validate(json.loads(said.text), SCHEMA)

    def test_what_is_written_under_a_regular_expression_matches_all_of_it(self, engine: Engine) -> None:
        sampling = Sampling(40, 1.0, grammar=Grammar("regex", "(yes|no), [a-z]{2,5}[.]"))
        for said in engine.generate(PROMPTS, sampling):
            assert re.fullmatch("(yes|no), [a-z]{2,5}[.]", said.text)
            assert said.finish_reason == "stop"

    def test_each_row_may_have_a_grammar_of_its_own(self, engine: Engine) -> None:
        prompts, grammars = ["One", "One", "One"], [Grammar("regex", "yes"), None, Grammar("regex", "no")]
        yes, free, no = engine.generate(prompts, Sampling(8), grammars=grammars)
        assert (yes.text, no.text) == ("yes", "no")
        assert free.text == engine.generate(["One"], Sampling(8))[0].text
        (of_all,) = engine.generate(["One"], Sampling(8, grammar=Grammar("regex", "no")), grammars=[None])
        assert of_all.text == "no"
        with pytest.raises(InputError, match="grammars"):
            engine.generate(prompts, Sampling(8), grammars=grammars[:2])

    def test_an_unreadable_grammar_is_refused_in_one_line(self, engine: Engine) -> None:
        for unreadable in (Grammar("regex", "(yes"), Grammar("json_schema", "{"), Grammar("json_schema", '{"type":1}')):
            with pytest.raises(InputError, match=r"\Athe .*cannot be used to constrain text.*or leave it out\Z"):
                engine.generate(["One"], Sampling(8, grammar=unreadable))

    def test_a_prompt_that_does_not_fit_is_refused(self, engine: Engine) -> None:
        with pytest.raises(InputError, match="shorten the prompt or lower max_tokens"):
            engine.generate(["word " * 20_000], GREEDY)

    def test_senseless_sampling_is_refused(self, engine: Engine) -> None:
        for senseless in (Sampling(max_tokens=0), Sampling(max_tokens=5, temperature=-1.0)):
            with pytest.raises(InputError, match="at least 1 and temperature 0 or more"):
                engine.generate(["One"], senseless)

    def test_prompts_that_begin_alike_are_continued_as_if_alone(
        self, engine: Engine, adapters: tuple[LoraAdapter, LoraAdapter]
    ) -> None:
        long = "The lighthouse stands on an island far to the north, and its lamp burns oil. "
        prompts = [long + "Who?", long + "Where does it stand, then?", long + "Who?", "Something else: " + long]
        rows = [None, *adapters]
        asked = [(prompt, adapter) for adapter in rows for prompt in prompts]
        together = engine.generate([p for p, _ in asked], GREEDY, [a for _, a in asked])
        alone = [engine.generate([p], GREEDY, [a])[0] for p, a in asked]
        assert [c.text for c in together] == [c.text for c in alone]

    def test_an_empty_prompt_is_refused(self, engine: Engine) -> None:
        with pytest.raises(InputError, match="empty"):
            engine.generate([""], GREEDY)

    def test_adapters_must_match_the_prompts(self, engine: Engine) -> None:
        with pytest.raises(InputError, match="2 prompts but 1 adapters"):
            engine.generate(PROMPTS[:2], GREEDY, [None])

    def test_no_prompts_give_no_completions(self, engine: Engine) -> None:
        assert engine.generate([], GREEDY) == []

    def test_progress_ends_at_all_prompts(self, engine: Engine) -> None:
        seen: list[tuple[int, int]] = []
        engine.generate(PROMPTS, GREEDY, progress=lambda done, total: seen.append((done, total)))
        assert seen[-1] == (len(PROMPTS), len(PROMPTS))

    def test_scores_do_not_depend_on_the_company(
        self, engine: Engine, adapters: tuple[LoraAdapter, LoraAdapter]
    ) -> None:
        continuations, rows = (" two", " Paris, of course, as everybody knows", "", " sail"), [None, *adapters, None]
        together = engine.score(PROMPTS, continuations, rows)
        assert together[2] == ()
        for prompt, continuation, adapter, scores in zip(PROMPTS, continuations, rows, together, strict=True):
            assert engine.score([prompt], [continuation], [adapter])[0] == pytest.approx(scores, abs=1e-4)
        assert all(score < 0 for scores in together for score in scores)

    def test_a_completion_says_how_likely_its_tokens_were(
        self, engine: Engine, adapters: tuple[LoraAdapter, LoraAdapter]
    ) -> None:
        rows = [None, *adapters, None]
        for sampling in (GREEDY, WARM):
            said = engine.generate(PROMPTS, sampling, rows)
            scores = engine.score(PROMPTS, [completion.text for completion in said], rows)
            for completion, scored in zip(said, scores, strict=True):
                assert len(completion.logprobs) == completion.tokens
                if len(scored) == completion.tokens:  # its text is cut into the same tokens again
                    assert completion.logprobs == pytest.approx(scored, abs=1e-3)

    def test_branches_begin_with_the_likeliest_first_tokens(
        self, engine: Engine, adapters: tuple[LoraAdapter, LoraAdapter]
    ) -> None:
        rows = [None, *adapters, None]
        branches = engine.branches(PROMPTS, GREEDY, 3, rows)
        greedy = engine.generate(PROMPTS, GREEDY, rows)
        expected = engine.soft_labels(PROMPTS, [[1]] * len(PROMPTS), 3, rows)
        for of_prompt, first, (label,) in zip(branches, greedy, expected, strict=True):
            assert of_prompt[0].text == first.text
            probabilities = [math.exp(completion.logprobs[0]) for completion in of_prompt]
            shares = [probability / sum(probabilities) for probability in probabilities]
            assert shares == pytest.approx(label.probabilities, abs=1e-3)
            assert probabilities == sorted(probabilities, reverse=True)
            assert len({completion.text for completion in of_prompt}) > 1

    def test_unlikely_branches_are_left_out(self, engine: Engine) -> None:
        branches = engine.branches(PROMPTS, GREEDY, 4)
        second = max(math.exp(of_prompt[1].logprobs[0]) for of_prompt in branches)
        second *= 0.999  # sums differ with the batch
        few = engine.branches(PROMPTS, GREEDY, 4, least=second)
        assert [[c.text for c in of_prompt] for of_prompt in few] == [
            [c.text for i, c in enumerate(of_prompt) if not i or math.exp(c.logprobs[0]) >= second]
            for of_prompt in branches
        ]
        assert sum(map(len, few)) >= len(PROMPTS)
        assert [len(of_prompt) for of_prompt in engine.branches(PROMPTS, GREEDY, 4, least=1.1)] == [1] * len(PROMPTS)
        with pytest.raises(InputError, match="greedy"):
            engine.branches(PROMPTS, WARM, 2)

    def test_an_adapter_changes_a_score(self, engine: Engine, adapters: tuple[LoraAdapter, LoraAdapter]) -> None:
        base, first, second = engine.score([PROMPTS[1]] * 3, [" Paris"] * 3, [None, *adapters])
        assert len({base, first, second}) == 3

    def test_a_continuation_beyond_the_window_is_refused(self, engine: Engine) -> None:
        with pytest.raises(InputError, match="window"):
            engine.score(["One"], ["word " * 200_000])
