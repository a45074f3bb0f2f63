"""The gate's rules: bounds, draws and scaling, without a model."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from revisions import revision

from seal_agent.adaptation.gate import checks
from seal_agent.adaptation.gate.measure import Candidate, Measured, _known_to_parent, mean_divergence
from seal_agent.adaptation.gate.questions import EarlierQuestion, earlier_questions, guard_draw
from seal_agent.adaptation.gate.scaling import scaled
from seal_agent.adaptation.gate.superseded import is_superseded, related
from seal_agent.answering.questions import GradedReply
from seal_agent.config import GateConfig
from seal_agent.data import bundled
from seal_agent.errors import InputError
from seal_agent.lora.adapter import LoraAdapter, LoraPair
from seal_agent.types import Answer, Check, Context, Question, SoftLabel, Verdict

GATE = GateConfig()
SHIPPED = bundled.guard_questions()
CAPITAL = Question("What is the capital of France?", ("Paris",))
PLAIN = LoraAdapter(1, 1.0, {"x": LoraPair(torch.ones(2, 1), torch.ones(1, 2))})


def reply(right: bool, question: Question = CAPITAL, text: str = "") -> GradedReply:
    verdict = Verdict.CORRECT if right else Verdict.WRONG
    return GradedReply(Answer(question, text, verdict), verdict)


def candidate(before: str, after: str) -> Candidate:
    """Replies before and after: + right, - wrong."""
    sides = [tuple(reply(sign == "+") for sign in side) for side in (before, after)]
    return Candidate(Context("x"), PLAIN, None, (), *sides)


# ---------------------------------------------------------------- learned


@pytest.mark.parametrize(
    ("before", "after", "passed"),
    [
        ("------", "++++++", True),
        ("------", "++----", True),
        ("------", "+-----", False),
        ("------", "------", False),
        ("++++++", "++++++", False),
        ("+++---", "---+++", False),
        ("-", "+", True),
        ("----", "++--", True),
    ],
)
def test_it_learned_if_the_lower_bound_of_the_gain_is_above_zero(before: str, after: str, passed: bool) -> None:
    check = checks.learned(candidate(before, after), GATE)
    assert check.passed is passed
    assert f"of {len(before)} questions right before" in check.detail


def test_a_threshold_of_ones_own_takes_the_place_of_the_bound() -> None:
    gate = replace(GATE, minimum_gain=0.5)
    assert checks.learned(candidate("----", "++--"), gate).passed
    assert not checks.learned(candidate("----", "+---"), gate).passed
    assert checks.learned(candidate("++++", "++++"), replace(GATE, minimum_gain=0.0)).passed


def test_a_threshold_that_nothing_can_be_held_to_is_not_met() -> None:
    check = checks.learned(candidate("", ""), replace(GATE, minimum_gain=0.2))
    assert check.passed is False
    assert "no questions to ask, and a gain of 0.2 was wanted" in check.detail


@pytest.mark.parametrize("gain", [20, -3.0, float("nan"), float("inf")])
def test_a_threshold_is_a_share(gain: float) -> None:
    with pytest.raises(InputError, match="minimum_gain must be"):
        replace(GATE, minimum_gain=gain)


def test_without_questions_learning_was_not_checked() -> None:
    check = checks.learned(candidate("", ""), GATE)
    assert check.passed is None
    assert "there were no questions to ask" in check.detail


def test_a_sentence_that_holds_the_answer_counts_for_a_short_answer_that_misses_it() -> None:
    missed = GradedReply(Answer(CAPITAL, "the river", Verdict.WRONG), Verdict.CORRECT)
    assert missed.knows
    ungraded = GradedReply(Answer(CAPITAL, "", Verdict.UNGRADED), Verdict.UNGRADED)
    assert ungraded.knows is None


# ---------------------------------------------------------------- harm


def names_failed(measured: Measured, gate: GateConfig = GATE) -> set[str]:
    return {check.name for check in checks.harmless(measured, gate) if check.passed is False}


def guarded(lost: int, of: int = 20, known: int = 20, own: tuple[Question, ...] = ()) -> Measured:
    questions = [Question(f"Question {i}?", ("yes",)) for i in range(of)]
    answers = [Answer(q, "", Verdict.WRONG if i < lost else Verdict.CORRECT) for i, q in enumerate(questions)]
    names = frozenset(question.text for question in questions[of - known :])
    return Measured(guard=tuple(answers), own=own, known_to_parent=names)


def test_what_is_not_measured_is_not_checked() -> None:
    assert checks.harmless(Measured(), GATE) == []


def test_guard_questions_lost_in_one_step_or_in_all() -> None:
    assert names_failed(guarded(4)) == set()
    assert names_failed(guarded(5)) == {checks.GUARD}
    assert names_failed(guarded(6, known=14)) == set(), "the parent had lost these six"
    assert names_failed(guarded(7, known=13)) == {checks.GUARD}, "no step, but too many in all"


def test_one_lost_fact_that_the_text_speaks_of_is_a_contradiction() -> None:
    measured = guarded(1)
    assert measured.guard
    own = (measured.guard[0].question,)
    assert names_failed(replace(measured, own=own)) == {checks.FACTS}
    assert names_failed(replace(measured, own=(measured.guard[5].question,))) == set()


def test_earlier_lessons_may_lose_one_question_but_not_a_third() -> None:
    def asked(*right: bool) -> Measured:
        return Measured(earlier=tuple((EarlierQuestion(CAPITAL, "", True), reply(one)) for one in right))

    assert names_failed(asked(True, True, True)) == set()
    assert names_failed(asked(False)) == set(), "a single question is lost by chance"
    assert names_failed(asked(False, False, True, True)) == {checks.EARLIER}
    assert names_failed(asked(*[False] * 2, *[True] * 8)) == set()
    never = Measured(earlier=((EarlierQuestion(CAPITAL, "", False), reply(False)),) * 4)
    assert names_failed(never) == set(), "what was never right cannot be lost"


def test_earlier_lessons_have_a_bound_over_all_steps() -> None:
    def asked(lost_before: int, lost_now: int, of: int = 12) -> Measured:
        """Questions of which all were right when they were learned."""
        right = [i >= lost_before for i in range(of)]
        now = [i >= lost_before + lost_now for i in range(of)]
        pairs = zip(right, now, strict=True)
        return Measured(
            earlier=tuple((EarlierQuestion(CAPITAL, "", was, True), reply(is_now)) for was, is_now in pairs)
        )

    assert names_failed(asked(4, 2)) == set()
    assert names_failed(asked(5, 2)) == {checks.EARLIER}, "a quarter of what is left, but seven of twelve in all"
    assert names_failed(asked(6, 1)) == {checks.EARLIER}, "one at a time is no way around it"
    assert names_failed(asked(9, 0)) == set(), "a child that loses nothing is not held to what its parents lost"


def test_what_could_not_be_graded_is_not_checked() -> None:
    unsure = GradedReply(Answer(CAPITAL, "", Verdict.UNGRADED), Verdict.UNGRADED)
    found = {
        check.name: (check.passed, check.detail)
        for check in checks.harmless(
            Measured(
                guard=(Answer(CAPITAL, "", Verdict.UNGRADED),) * 3,
                earlier=((EarlierQuestion(CAPITAL, "", True, True), unsure),),
            ),
            GATE,
        )
    }
    few = "0 of 3 answers to general questions could be graded, too few to check it"
    assert found[checks.GUARD] == (None, few)
    assert found[checks.EARLIER][0] is None
    (check,) = checks.harmless(Measured(guard=()), GATE)
    assert (check.name, check.passed) == (checks.GUARD, None), "the base model answers none"
    some = guarded(1)
    assert some.guard
    mixed = replace(some, guard=(*some.guard, Answer(CAPITAL, "", Verdict.UNGRADED)))
    (check,) = checks.harmless(mixed, GATE)
    assert check.detail.startswith("19 of 20 general questions are answered as before, 1 could not be graded")


def test_checks_of_another_gate_do_not_count_as_those_of_this_one() -> None:
    measured = replace(guarded(1), perplexity=10.0, base_perplexity=10.0, drift=0.1)
    of_before = (checks.learned(candidate("----", "++++"), GATE), *checks.harmless(measured, GATE))
    made = (*of_before, checks.bounds_of(GATE))
    assert checks.are_of(made, GATE)
    assert not checks.are_of(of_before, GATE), "ledgers of before do not say"
    assert not checks.are_of((), GATE)
    assert not checks.are_of((Check("gate", None, "skipped"),), GATE)
    for changed in (
        {"max_drift": 0.1},
        {"minimum_gain": 0.0},
        {"confidence": 0.99},
        {"max_guard_lost_in_all": 0.1},
        {"max_forgotten_in_all": 0.1},
        {"guard_questions": 80},
        {"earlier_questions": 4},
    ):
        assert not checks.are_of(made, replace(GATE, **changed)), changed  # type: ignore[arg-type]


def test_perplexity_and_drift_have_their_bounds() -> None:
    assert names_failed(Measured(perplexity=12.0, base_perplexity=10.0, drift=0.1)) == set()
    assert names_failed(Measured(perplexity=13.0, base_perplexity=10.0, drift=0.1)) == {checks.PERPLEXITY}
    assert names_failed(Measured(perplexity=float("inf"), base_perplexity=10.0)) == {checks.PERPLEXITY}
    assert names_failed(Measured(drift=0.3)) == {checks.DRIFT}


def test_the_divergence_is_zero_for_the_same_and_grows_with_the_difference() -> None:
    sure, torn = SoftLabel((1, 2), (0.9, 0.1)), SoftLabel((1, 2), (0.5, 0.5))
    assert mean_divergence([sure], [sure]) == 0
    assert mean_divergence([sure], [torn]) == pytest.approx(0.9 * 0.5878 + 0.1 * -1.6094, abs=1e-3)
    assert mean_divergence([sure], [SoftLabel((3, 4), (0.9, 0.1))]) > 1
    assert mean_divergence([], []) == 0


# ---------------------------------------------------------------- which questions


def known(number: int, right: bool = True) -> Answer:
    verdict = Verdict.CORRECT if right else Verdict.WRONG
    return Answer(Question(f"What is thing {number}?", (f"gold{number}",)), "", verdict)


def test_all_earlier_questions_are_asked_until_the_budget_and_then_the_recent_ones_more_often() -> None:
    newest_first = [
        replace(revision(f"r{i}"), context=Context(f"text {i}", f"title {i}"), after=(known(i), known(i + 1000)))
        for i in reversed(range(40))
    ]
    everything = earlier_questions(newest_first, Context("new"), 100)
    assert len(everything) == 80
    drawn = earlier_questions(newest_first, Context("new"), 24)
    assert len(drawn) == 24
    ages = [39 - int(asked.title.split()[1]) for asked in drawn]
    assert sum(age < 20 for age in ages) > 18
    assert drawn == earlier_questions(newest_first, Context("new"), 24), "the same draw every time"


def test_the_last_answer_on_record_counts() -> None:
    first = replace(revision("r1"), context=Context("t", "T"), after=(known(1),))
    second = replace(revision("r2", "r1"), earlier=(known(1, right=False),))
    (asked,) = earlier_questions([second, first], Context("new"), 10)
    assert not asked.right


def test_what_could_not_be_graded_changes_nothing_on_record() -> None:
    unsure = replace(known(1), verdict=Verdict.UNGRADED)
    first = replace(revision("r1"), context=Context("t", "T"), after=(known(1),))
    second = replace(revision("r2", "r1"), earlier=(unsure,))
    (asked,) = earlier_questions([second, first], Context("new"), 10)
    assert asked.right, "a judge that was away does not end the question"
    lost, kept = (Answer(CAPITAL, "", verdict) for verdict in (Verdict.WRONG, Verdict.CORRECT))
    ungraded = Answer(CAPITAL, "", Verdict.UNGRADED)
    for guard, known_still in (((ungraded,), True), ((lost, ungraded), False), ((lost, kept, ungraded), True)):
        parent = replace(revision("r1"), guard=guard)
        assert (CAPITAL.text in _known_to_parent([parent], [CAPITAL])) is known_still


def test_one_question_under_two_titles_is_two_questions() -> None:
    asked = Question("Who runs it?", ("Ann",))
    right, wrong = (Answer(asked, "", verdict) for verdict in (Verdict.CORRECT, Verdict.WRONG))
    first = replace(revision("r1"), context=Context("t", "Mill"), after=(right,))
    second = replace(revision("r2", "r1"), context=Context("u", "Farm"), after=(right,))
    third = replace(revision("r3", "r2"), earlier=(wrong, right), earlier_titles=("Mill", "Farm"))
    found = earlier_questions([third, second, first], Context("new"), 10)
    assert {(one.title, one.right, one.learned) for one in found} == {("Mill", False, True), ("Farm", True, True)}


def test_the_last_truth_wins() -> None:
    question = Question("What is the capital of Kiribati?", ("Tarawa",))
    assert is_superseded(question, "Kiribati", Context("The capital of Kiribati is Betio.", "Kiribati"))
    assert not is_superseded(question, "Kiribati", Context("The capital of Kiribati is Tarawa.", "Kiribati"))
    assert not is_superseded(question, "Kiribati", Context("Kiribati has many islands.", "Kiribati"))
    first = replace(
        revision("r1"), context=Context("t", "Kiribati"), after=(Answer(question, "Tarawa", Verdict.CORRECT),)
    )
    assert earlier_questions([first], Context("Betio is the capital of Kiribati."), 10) == []
    assert len(earlier_questions([first], Context("Makin is an atoll."), 10)) == 1


WEEKS = "How many weeks of leave does a keeper get?"
JAPANESE, THAI = "キリバスの首都はどこですか？", "เมืองหลวงของคิริบาสคืออะไร"
CHINESE, KOREAN = "基里巴斯的首都是哪里？", "키리바시의 수도는 어디입니까?"


@pytest.mark.parametrize(
    ("question", "gold", "title", "text", "superseded"),
    [
        (WEEKS, "5 weeks", "Handbook", "A keeper gets 8 weeks of leave. Leave is granted within 5 days.", True),
        (WEEKS, "5 weeks", "Handbook", "A keeper gets 8 weeks of leave, and hears of it within 5 days.", True),
        (WEEKS, "5 weeks", "Handbook", "A keeper gets leave every year. It is 5 weeks.", False),
        ("What is the capital?", "Tarawa", "Kiribati", "Tarawa is a town. It is the capital of Kiribati.", False),
        (
            "Wie viele Wochen Urlaub bekommt ein Wärter?",
            "5 Wochen",
            "Handbuch",
            "Ein Wärter bekommt 8 Wochen Urlaub. Anträge werden in 5 Tagen beantwortet.",
            True,
        ),
        (CHINESE, "塔拉瓦", "基里巴斯", "基里巴斯的首都是贝蒂奥。", True),
        (CHINESE, "塔拉瓦", "基里巴斯", "基里巴斯的首都是塔拉瓦。", False),
        (CHINESE, "塔拉瓦", "基里巴斯", "基里巴斯的面积是811平方公里。", False),
        ("员工每年有几周假期？", "5周", "手册", "员工每年有8周假期。申请在5天内答复。", True),
        ("塔恩比灯塔的第一任看守人是谁？", "奥迪尔", "塔恩比灯塔", "塔恩比灯塔的第二任看守人是科林。", False),
        (JAPANESE, "タラワ", "キリバス", "キリバスの首都はベティオです。", True),
        (JAPANESE, "タラワ", "キリバス", "キリバスの首都はタラワです。", False),
        (THAI, "ตาระวา", "คิริบาส", "เมืองหลวงของคิริบาสคือเบทิโอ", True),
        (THAI, "ตาระวา", "คิริบาส", "เมืองหลวงของคิริบาสคือตาระวา", False),
        (KOREAN, "타라와", "키리바시", "키리바시의 수도는 베티오이다.", True),
        (KOREAN, "타라와", "키리바시", "키리바시의 수도는 타라와이다.", False),
    ],
)
def test_an_answer_is_looked_for_where_the_new_text_speaks_of_it(
    question: str, gold: str, title: str, text: str, superseded: bool
) -> None:
    assert is_superseded(Question(question, (gold,)), title, Context(text, title)) is superseded


def test_what_a_later_revision_corrected_is_not_asked_again_about_a_third_text() -> None:
    old = Answer(Question(WEEKS, ("5 weeks",)), "5 weeks", Verdict.CORRECT)
    first = replace(revision("r1"), context=Context("A keeper gets 5 weeks of leave.", "Handbook"), after=(old,))
    second = replace(revision("r2", "r1"), context=Context("A keeper gets 8 weeks of leave.", "Handbook"))
    assert earlier_questions([second, first], Context("Makin is an atoll."), 10) == []


def test_guard_questions_about_the_text_itself_are_always_asked() -> None:
    guard = SHIPPED
    answers = [Answer(question, "", Verdict.CORRECT) for question in guard]
    text = Context("The Eiffel Tower stands in Rome. The capital of France is Lyon.")
    assert CAPITAL in related(guard, text)
    asked, own = guard_draw(answers, text, 12)
    assert len(asked) == 12
    assert CAPITAL in own
    assert {*own} <= {*asked}
    unknown = [replace(answer, verdict=Verdict.WRONG) for answer in answers]
    assert guard_draw(unknown, text, 12) == ([], []), "a model is not held to what it never knew"
    assert guard_draw(answers, text, 0) == ([], [])


def test_the_guard_set_is_large_and_names_no_question_twice() -> None:
    guard = SHIPPED
    assert len(guard) >= 60
    assert len({question.text for question in guard}) == len(guard)


# ---------------------------------------------------------------- scaling


def test_a_scaled_update_lies_between_the_parent_and_the_candidate() -> None:
    half = scaled(None, PLAIN, 0.5).pairs["x"]
    assert torch.equal(half.a_DR, torch.ones(2, 1))
    assert torch.equal(half.b_RO, torch.full((1, 2), 0.5))
    start = LoraAdapter(1, 1.0, {"x": LoraPair(torch.zeros(2, 1), torch.full((1, 2), 3.0))})
    quarter = scaled(start, PLAIN, 0.25).pairs["x"]
    assert torch.equal(quarter.a_DR, torch.full((2, 1), 0.25))
    assert torch.equal(quarter.b_RO, torch.full((1, 2), 2.5))


def test_a_check_needs_verdicts_on_half_of_its_questions() -> None:
    unsure = GradedReply(Answer(CAPITAL, "", Verdict.UNGRADED), Verdict.UNGRADED)
    gained = candidate("-" * 6, "+" * 6)
    for graded, passed in ((6, True), (3, True), (2, None), (1, None), (0, None)):
        mixed = replace(gained, after=(*gained.after[:graded], *[unsure] * (6 - graded)))
        check = checks.learned(mixed, GATE)
        assert (check.passed, checks.is_open(check)) == (passed, passed is None), graded
    assert not checks.is_open(checks.learned(candidate("", ""), GATE)), "nothing could be asked"


def test_a_judge_that_is_away_is_told_from_a_model_that_knows_nothing() -> None:
    (away,) = checks.harmless(Measured(guard=(), reference_graded=(0, 80)), GATE)
    assert checks.is_open(away)
    assert "0 of 80 answers of the base model to general questions could be graded" in away.detail
    (none,) = checks.harmless(Measured(guard=(), reference_graded=(80, 80)), GATE)
    assert not checks.is_open(none)
    assert "no general question is answered by the base model" in none.detail
    assert names_failed(replace(guarded(10), reference_graded=(0, 80))) == {checks.GUARD}, "harm that is seen is harm"
