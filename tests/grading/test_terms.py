"""Terms of which one sign decides, and answers in other languages than English."""

from __future__ import annotations

import pytest

from seal_agent.grading.lexical import LexicalGrader
from seal_agent.types import Verdict

RIGHT = [
    ("vitamin A", "It is vitamin A."),
    ("vitamin A", "vitamin a"),
    ("vitamin B12", "B12"),
    ("hepatitis B", "It was the hepatitis B virus."),
    ("C++", "It is written in C++."),
    ("C#", "C#."),
    ("C", "It was written in C."),
    ("3/4", "3/4 of it"),
    ("get_user_id", "The function `get_user_id()`."),
    ("get_user_id", "get user id"),
    ("getUserId", "getUserId()"),
    ("Type 1", "Type 1 diabetes"),
    ("Type II", "Type 2"),
    ("version 1.2", "Version 1.2"),
    ("version 1.20", "v1.20"),
    ("H2O", "It is H₂O."),
    ("H2O2", "H2O2"),
    ("e4", "White plays 1. e4"),
    ("A", "A"),
    ("Malcolm X", "Malcolm X"),
    ("John F. Kennedy", "John Kennedy"),
    ("U-boat", "a u-boat"),
    ("F-16", "the F16"),
    ("9/11", "9/11"),
    ("crosscountry", "cross country"),
]
WRONG = [
    ("vitamin A", "It is vitamin B."),
    ("hepatitis B", "Hepatitis C"),
    ("hepatitis B", "hepatitis"),
    ("C++", "C#"),
    ("C++", "It is written in C."),
    ("C#", "C++"),
    ("C", "C++"),
    ("3/4", "4/3"),
    ("4/3", "3/4"),
    ("3:2", "2:3"),
    ("get_user_id", "set_user_id"),
    ("set_user_id", "get_user_id()"),
    ("getUserId", "setUserId"),
    ("list.append", "list.extend"),
    ("Type 1", "Type 2"),
    ("Type I", "Type II"),
    ("Type A", "type B"),
    ("version 1.2", "version 1.20"),
    ("version 1.20", "version 1.2"),
    ("H2O", "H2O2"),
    ("H2O2", "H2O"),
    ("CO", "CO2"),
    ("e4", "e5"),
    ("Nf3", "Nc3"),
    ("A", "B"),
    ("C major", "D major"),
    ("G sharp", "G flat"),
    ("blood group O", "blood group AB"),
    ("x > 5", "x < 5"),
    ("cross", "crosscountry"),
]
RIGHT_ELSEWHERE = [
    ("Wie viele Störche rasten im Moor?", "vierzig", "Dort rasten etwa 40 Störche."),
    ("Wann wurde die Mühle gebaut?", "9. Mai 1862", "Sie wurde am 9.5.1862 gebaut."),
    ("Wie viele Stufen gibt es?", "1.412", "Es sind 1412 Stufen."),
    ("Ist die Mühle rot?", "ja", "Ja, sie ist rot."),
    ("¿Cuántas cigüeñas hay?", "cuarenta", "Hay unas 40 cigüeñas."),
    ("Combien de cigognes ?", "quarante", "Il y a 40 cigognes dans le marais."),
    ("Что едят аисты?", "речных раков", "Аисты едят речные раки."),
    ("谁建造了磨坊？", "约纳斯", "磨坊是约纳斯建造的。"),
    ("那里有多少只鹳鸟？", "约四十只鹳鸟", "那里有四十只鹳鸟。"),
    ("चक्की किसने बनाई?", "जोनास", "चक्की जोनास ने बनाई।"),
    ("متى بنيت؟", "1782", "بنيت عام ١٧٨٢."),
    ("Ποιος έχτισε τον μύλο;", "ο Γιόνας Φελντ", "Τον έχτισε ο Γιόνας Φελντ."),
    ("מי בנה את הטחנה?", "יונס פלד", "יונס פלד בנה את הטחנה."),
    ("방앗간은 누가 지었나요?", "요나스", "요나스가 지었다."),
]
WRONG_ELSEWHERE = [
    ("Wie viele Störche rasten im Moor?", "vierzig", "Dort rasten etwa 50 Störche."),
    ("Wann wurde die Mühle gebaut?", "9. Mai 1862", "Sie wurde am 9. Juni 1862 gebaut."),
    ("Woraus sind die Körbe?", "aus Heidekraut", "Die Körbe sind nicht aus Heidekraut."),
    ("Ist die Mühle rot?", "ja", "Nein."),
    ("Was hilft?", "Vitamin A", "Es ist Vitamin B."),
    ("¿Cuántas cigüeñas hay?", "cuarenta", "Hay cincuenta cigüeñas."),
    ("Кто построил мельницу?", "Йонас Фельд", "Мельницу построил Пётр Ильин."),
    ("谁建造了磨坊？", "约纳斯", "磨坊是彼得建造的。"),
    ("चक्की किसने बनाई?", "जोनास", "चक्की पीटर ने बनाई।"),
    ("متى بنيت؟", "1782", "بنيت عام ١٧٨٣."),
]


@pytest.mark.parametrize(("gold", "answer"), RIGHT)
def test_the_same_term_is_right(gold: str, answer: str) -> None:
    assert LexicalGrader().grade("Which?", (gold,), answer) is Verdict.CORRECT


@pytest.mark.parametrize(("gold", "answer"), WRONG)
def test_another_term_is_wrong(gold: str, answer: str) -> None:
    assert LexicalGrader().grade("Which?", (gold,), answer) is Verdict.WRONG


@pytest.mark.parametrize(("question", "gold", "answer"), RIGHT_ELSEWHERE)
def test_right_answers_in_other_languages(question: str, gold: str, answer: str) -> None:
    assert LexicalGrader().grade(question, (gold,), answer) is Verdict.CORRECT


@pytest.mark.parametrize(("question", "gold", "answer"), WRONG_ELSEWHERE)
def test_wrong_answers_in_other_languages(question: str, gold: str, answer: str) -> None:
    assert LexicalGrader().grade(question, (gold,), answer) is Verdict.WRONG
