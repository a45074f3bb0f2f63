"""The plan of agent_memory.py: a handbook of invented facts, a correction, questions, and ways to learn it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from seal_agent.config import InnerLoopConfig, SelfEditConfig
from seal_agent.types import Question

# No title: people ask an agent plain questions, and a titled text is learned as answers to titled questions.
HANDBOOK = (
    "The ticket office of the Tolvane ferry closes at 17:40. The manager of the Tolvane ferry is called Maren Oddleif. "
    "A monthly pass for the Tolvane ferry costs 62 crowns.",
    "The spare keys of the Tolvane workshop hang in a green biscuit tin. The safety officer of the Tolvane workshop is "
    "Pell Andrask. Fire drills at the Tolvane workshop are held on the second Tuesday of each month.",
    "New pilots of the Tolvane ferry are trained at Quenby Sound. Lost property from the Tolvane ferry is kept in the "
    "Harrow Street depot. The funnel of the Tolvane ferry is painted saffron yellow.",
)
CLOSING_QUESTIONS = (
    Question("When does the ticket office of the Tolvane ferry close?", ("17:40", "5:40 pm")),
    Question("Until what time is the Tolvane ferry's ticket office open?", ("17:40", "5:40 pm")),
)
OTHER_QUESTIONS = (
    Question("What is the manager of the Tolvane ferry called?", ("Maren Oddleif",)),
    Question("How much does a monthly pass for the Tolvane ferry cost?", ("62 crowns",)),
    Question("Where do the spare keys of the Tolvane workshop hang?", ("in a green biscuit tin",)),
    Question("Who is the safety officer of the Tolvane workshop?", ("Pell Andrask",)),
    Question("On which day are fire drills held at the Tolvane workshop?", ("the second Tuesday of each month",)),
    Question("Where are new pilots of the Tolvane ferry trained?", ("Quenby Sound",)),
    Question("Where is lost property from the Tolvane ferry kept?", ("the Harrow Street depot",)),
    Question("What colour is the funnel of the Tolvane ferry?", ("saffron yellow",)),
)
CORRECTION = "No, the ticket office of the Tolvane ferry closes at 16:10."
CORRECTED_QUESTIONS = tuple(replace(question, golds=("16:10", "4:10 pm")) for question in CLOSING_QUESTIONS)
BOBS_NOTE = "The bell of Vantry Abbey was cast in the town of Skelmere."
BOBS_QUESTIONS = (Question("In which town was the bell of Vantry Abbey cast?", ("Skelmere",)),)


@dataclass(frozen=True, slots=True)
class Way:
    """A way to learn a correction."""

    name: str
    with_question: bool = True
    """Whether the question that was answered is learned with it, the middleware's default."""
    replay: bool = True
    """Whether earlier lessons are replayed, including the very fact that is corrected."""


WAYS = (
    Way("as it comes"),
    Way("statement alone", with_question=False),
    Way("statement alone, no replay", with_question=False, replay=False),
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What the agent reads and is asked, and how it learns."""

    paragraphs: Sequence[str]
    others: Sequence[Question]
    """Questions about facts that are not corrected."""
    self_edit: SelfEditConfig
    inner_loop: InnerLoopConfig
    ways: Sequence[Way] = WAYS
    """Tried one after the other; the last one's correction stays."""

    @property
    def traces(self) -> list[str]:
        """Answers in the handbook's own words, which nothing else in the store contains."""
        return [question.golds[0] for question in (*self.others, CLOSING_QUESTIONS[0])]
