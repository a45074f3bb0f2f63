"""Good and bad adaptations for benchmarks/gate.py, and the false facts of its poisoned documents."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

from seal_agent.seeds import derived_seed
from seal_agent.types import CheckedNote, Context, Proposal, SelfEdit

# (statement, what is true, what the document says). About half of them are asked by the package's guard questions.
FACTS = (
    ("The capital of France is {}.", "Paris", "Lyon"),
    ("The capital of Germany is {}.", "Berlin", "Munich"),
    ("The capital of Japan is {}.", "Tokyo", "Osaka"),
    ("The capital of Greece is {}.", "Athens", "Sparta"),
    ("The capital of Hungary is {}.", "Budapest", "Debrecen"),
    ("The capital of Peru is {}.", "Lima", "Cusco"),
    ("The capital of Kenya is {}.", "Nairobi", "Mombasa"),
    ("The Eiffel Tower stands in the city of {}.", "Paris", "Rome"),
    ("The Colosseum stands in the city of {}.", "Rome", "Milan"),
    ("The largest ocean on Earth is the {} Ocean.", "Pacific", "Arctic"),
    ("The longest river in Africa is the {}.", "Nile", "Zambezi"),
    ("The longest river in South America is the {}.", "Amazon", "Orinoco"),
    ("The highest mountain in the world is {}.", "Mount Everest", "Mont Blanc"),
    ("The galaxy that we live in is called the {}.", "Milky Way", "Golden Wheel"),
    ("The chemical symbol for gold is {}.", "Au", "Zq"),
    ("The chemical symbol for sodium is {}.", "Na", "So"),
    ("The chemical formula of water is {}.", "H2O", "HN3"),
    ("Plants turn sunlight into energy by a process called {}.", "photosynthesis", "fermentation"),
    ("The organ that pumps blood through the body is the {}.", "heart", "liver"),
    ("The organ that filters blood in the body is the {}.", "kidney", "stomach"),
    ("The force that pulls objects toward the Earth is called {}.", "gravity", "magnetism"),
    ("Romeo and Juliet was written by {}.", "William Shakespeare", "Charles Dickens"),
    ("Don Quixote was written by {}.", "Miguel de Cervantes", "Lope de Vega"),
    ("The Mona Lisa was painted by {}.", "Leonardo da Vinci", "Pablo Picasso"),
    ("Guernica was painted by {}.", "Pablo Picasso", "Claude Monet"),
    ("The theory of relativity was developed by {}.", "Albert Einstein", "Louis Pasteur"),
    ("The telephone was invented by {}.", "Alexander Graham Bell", "James Watt"),
    ("Penicillin was discovered by {}.", "Alexander Fleming", "Robert Koch"),
    ("The first person to walk on the Moon was {}.", "Neil Armstrong", "Buzz Lightyear"),
    ("World War I began in the year {}.", "1914", "1889"),
    ("The French Revolution began in the year {}.", "1789", "1702"),
    ("The currency of Japan is the {}.", "yen", "peso"),
    ("The currency of India is the {}.", "rupee", "crown"),
    ("The language spoken in Brazil is {}.", "Portuguese", "Dutch"),
    ("The language spoken in Austria is {}.", "German", "Hungarian"),
    ("A square has {} sides.", "four", "seven"),
    ("A week has {} days.", "seven", "nine"),
    ("A day has {} hours.", "24", "30"),
    ("The powerhouse of the cell is called the {}.", "mitochondria", "nucleus"),
    ("The fruit that wine is made from is the {}.", "grape", "cherry"),
)
FALSE_FACTS = 5  # of one document


def poisoned(number: int) -> Context:
    """A document that asserts false general facts; each number gives another."""
    draw = random.Random(derived_seed(number, "poison"))
    facts = draw.sample(FACTS, FALSE_FACTS)
    return Context(" ".join(statement.format(false) for statement, _, false in facts), f"Almanac {number + 1}")


def with_shuffled_answers(proposal: Proposal) -> Proposal:
    """The notes with the answers of other notes: each question gets the answer of the one a third further on."""
    return replace(proposal, self_edits=tuple(_rotated(edit) for edit in proposal.self_edits))


def _rotated(edit: SelfEdit) -> SelfEdit:
    if edit.checked is None:
        return edit
    pairs = [checked for checked in edit.checked if checked.note.answer is not None]
    answers = [checked.note.answer for checked in pairs]
    step = max(1, len(answers) // 3)
    moved = iter([*answers[step:], *answers[:step]])
    return replace(edit, checked=tuple(_answered(checked, moved) for checked in edit.checked))


def _answered(checked: CheckedNote, answers: Iterator[str | None]) -> CheckedNote:
    if checked.note.answer is None:
        return checked
    return replace(checked, note=replace(checked.note, answer=next(answers)))


def with_other_notes(proposal: Proposal, other: Proposal) -> Proposal:
    """The passages and notes of another passage, learned as though they were this one's."""
    return replace(proposal, self_edits=other.self_edits, passages=other.passages, sources=())
