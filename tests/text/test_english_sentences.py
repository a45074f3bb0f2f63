"""English sentences end at stops that belong to no abbreviation, behind quotes, brackets and footnote marks too."""

from __future__ import annotations

import time

import pytest

from seal_agent.text.sentences import sentences_of


@pytest.mark.parametrize(
    "sentence",
    [
        "The school in Orrin is led by Prof. Anna Weber since 1907.",
        "Mrs. Dalloway, Gen. Lee, Capt. Cook, Gov. Brown, Sen. Warren and Rev. Green came.",
        "Lt. Col. Jones, Sgt. Pepper, Hon. Judge Judy and Messrs. Smith stayed.",
        "THE HOUSE OF MR. SMITH IS OLD.",
        "The Smith Co. Building stands beside Acme Inc. Headquarters.",
        "It opens at 9 a.m. Monday to Friday, and at 6 p.m. Eastern Time.",
        "The U.S. Army trained Ph.D. Students.",
        "In Jan. Mary read Vol. II, No. 5, Fig. 3 and pp. 12 of it, by J. R. Lee.",
        "It cost approx. 5 euros on Sept. 3 and ca. 6 on Nov. 4.",
        "It lies on several hills, e.g. Warsaw Hill.",
        '"Go home!" Anna Weber said.',
    ],
)
def test_an_abbreviation_ends_no_sentence(sentence: str) -> None:
    assert sentences_of(sentence, "en") == [sentence]


@pytest.mark.parametrize(
    "sentences",
    [
        ("He works at Acme Inc.", "She lives in the U.S.", "They met at 5 p.m.", "However, it rained."),
        ("He lives on Main St.", "He is Ulf Pell Jr.", "The rest is known."),
        ("We chose plan B.", "The rest was easy."),
        ("The answer was no.", "No. 5 is alive.", "She said No.", "Mary left."),
        ("The tower is high.[1]", "It was built in 1867.[2][note 3]", "Nobody lives there.¹²", "It is old."),
        ('He said, "I will go."', "Then he left.", "(It was noon.)", "The train was late (as ever.)", "It came."),
        ("‘No.’", "¡Sí!", "Really?!", "“Why?” he said.", "He shouted “Fire!”", "Nobody came."),
        ("It is high.", "3 geese live there.", "1867 saw the flood.", "$5 is the fee.", "#4 is shut."),
        ("🎉 It is at nine.", "🍰 Cake is served at ten.", "🎈 All is free."),
        ("Ösp is a town.", "Łódź is too.", "Žižkov also.", "Ακρόπολη is Greek.", "It cost 5 €.", "Nobody paid."),
        ("ok so the tower is high.", "it was built by dr. pell in 1867.", "nobody lives there."),
        ("An Act for the Lighting of Geese.", "1. Geese carry lanterns.", "2. Ganders do not."),
    ],
)
def test_a_sentence_ends_before_what_begins_one(sentences: tuple[str, ...]) -> None:
    assert sentences_of(" ".join(sentences), "en") == [*sentences]


@pytest.mark.parametrize(
    "text", ["." * 400_000, '."' * 200_000, "a.[1" * 100_000, "[(" * 200_000, ". " + " " * 400_000]
)
def test_long_runs_of_signs_take_no_quadratic_time(text: str) -> None:
    start = time.process_time()
    sentences_of(text, "en")
    assert time.process_time() - start < 10
