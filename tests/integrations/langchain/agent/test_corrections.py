"""Which turns are learnt as corrections: those that state a fact, and none that asks, judges, thanks or chats."""

from __future__ import annotations

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from seal_agent.integrations.langchain.agent.documents import is_correction

CHAT = """
No, nothing else for now.
No that's all for today.
No, that is fine.
Sorry for the late reply, my train was late.
Sorry to bother you again.
Actually, this is really helpful, great job.
Actually it works now.
No, it is fine as it is.
No, we are done here.
Actually, forget about it please.
Actually, tell me a joke.
Actually, make it shorter.
No, make it shorter and friendlier.
No, give me the German version.
No, keep the first paragraph.
No, use the other file instead.
Wrong file, here is the right one.
Sorry, wrong chat.
No, not yet, maybe tomorrow.
No, add more detail to it.
Correction: shorten the text.
Actually, write it in French.
No, go back to the first version.
That's not right, try again with more detail.
That's wrong, fix it now.
No, explain it again slowly.
No, show me the second one.
No, thanks, that was everything.
Sorry, I was away for lunch.
No, the answer is too long.
Actually, the summary was fine.
No, in English please.
No worries, take your time with it.
Actually, three sentences would be enough.
No, not Ann again.
"""

CORRECTIONS = [  # question, answer, correction, what is learnt of it
    ("Who built the tower?", "Ann built it.", "No, Odile Brannock built it.", "Odile Brannock built it."),
    ("Who built the tower?", "Ann", "No, it was built by her brother.", "It was built by her brother."),
    ("Who built the tower?", "Ann", "Actually, Mark built the tower.", "Mark built the tower."),
    ("Who built the tower?", "Ann", "That's wrong. It was Odile.", "It was Odile."),
    ("Who built the tower?", "Ann", "No, the tower was not built by Ann.", "The tower was not built by Ann."),
    ("When was it built?", "1912", "No, it was built in 1867.", "It was built in 1867."),
    ("When was it built?", "1912", "Wrong, it was built two years earlier.", "It was built two years earlier."),
    ("When was it built?", "1912", "Not quite: in the spring of 1867.", "In the spring of 1867."),
    ("When was it built?", "1912", "Nope, it was in 1867.", "It was in 1867."),
    ("When was it built?", "1912", "No it was 1867", "It was 1867"),
    ("When does the office close?", "5 pm", "No, the office closes at noon.", "The office closes at noon."),
    ("When does the office close?", "5 pm", "That is not correct, it closes at 6 p.m.", "It closes at 6 p.m."),
    ("When does the office close?", "5 pm", "Correction: it closes at half past six.", "It closes at half past six."),
    ("When does the office close?", "Friday", "You're wrong, it closes on Monday.", "It closes on Monday."),
    ("When does the office close?", "5 pm", "No, we close at six now.", "We close at six now."),
    ("What is the tower made of?", "Stone.", "No, it is made of copper plates.", "It is made of copper plates."),
    ("What is the tower made of?", "Stone.", "Incorrect, the tower is copper.", "The tower is copper."),
    ("What does the lamp burn?", "Coal.", "Actually the lamp burns hazelnut oil.", "The lamp burns hazelnut oil."),
    ("What does the lamp burn?", "Coal.", "No, it burns hazelnut oil.", "It burns hazelnut oil."),
    ("Where is the office?", "In Suva.", "No, that's not right. The office is in Tarawa.", "The office is in Tarawa."),
    ("Where is the office?", "In Suva.", "Well, actually, it is in Tarawa.", "It is in Tarawa."),
    ("Where is the office?", "In Suva.", "No, no, it moved to Tarawa.", "It moved to Tarawa."),
    ("How high is it?", "20 m", "No, it is 31 metres high.", "It is 31 metres high."),
    ("How high is it?", "20 m", "That was wrong: 31 metres above the sea.", "31 metres above the sea."),
    ("How many days?", "20", "No, everyone gets 25 days.", "Everyone gets 25 days."),
    ("Who is the director?", "Ann", "Sorry, but the director is her sister.", "The director is her sister."),
    (
        "Who is the director?",
        "Ann",
        "Hmm, no, the director has been Bob Lee for years.",
        "The director has been Bob Lee for years.",
    ),
    ("What is my dog called?", "Rex", "No, my dog is called Bella.", "My dog is called Bella."),
    ("Which ferry sank?", "The Ann", "Wrong answer: the Mirabel sank in 1912.", "The Mirabel sank in 1912."),
    ("Tell me about the tower.", "It is made of stone.", "No, it is made of copper.", "It is made of copper."),
    (
        "Who built it?",
        "Ann",
        "No, it was Odile. She came from Rome. Please note it.",
        "It was Odile. She came from Rome.",
    ),
    ("Who won?", "Ann won.", "No, Bob Lee won it in May, thank you.", None),
]

# The rule was not fitted to these: they say how often it is right elsewhere.
OTHER_CHAT = """
No, I'm good.
Actually, could you redo the table?
No, that's not what I asked for.
Actually, never mind, I figured it out myself.
No, it still crashes when I click the button.
Sorry, I pasted the wrong link.
No, try a different approach.
Actually, put it into a bullet list.
No need, my colleague will send it.
No, let's talk about something else.
Actually, that makes sense now.
No, translate the whole thing into Spanish.
That's incorrect, check your sources.
Wrong language, I speak German.
No, just the last line.
Sorry about that, the kids were loud.
No, I don't think so.
Actually, I have one more question about Paris.
No, remove the part about Berlin.
Not exactly what I was looking for.
No, that's a bit too formal for Mr Smith.
Actually, it would be nice to have a shorter one.
You are wrong and you know it.
No, looks good to me.
Actually, let me think about it until Monday.
No, call the function with two arguments.
Nope, same error as before.
No, stop it right there.
Actually, cool idea, I like it.
No, it should be funnier.
That is not true, apologise to me.
No, my boss wants it by Friday.
Actually, use Python 3 for it.
No, this isn't working for me at all.
No, more like the style of Hemingway.
""".strip().splitlines()

OTHER_CORRECTIONS = [
    ("Which river flows through the town?", "The Elbe", "No, it's the Weser."),
    ("Which river flows through the town?", "The Elbe", "Actually, the Weser flows through it."),
    ("How old is the bridge?", "90 years", "No, the bridge is 140 years old."),
    ("How old is the bridge?", "90 years", "That's incorrect. It was opened in 1885."),
    ("Who wrote the report?", "Jim", "No, Sarah Connolly wrote that one."),
    ("Who wrote the report?", "Jim", "You are mistaken, the report was written by the auditors."),
    ("What colour is the logo?", "Blue", "No, the logo is dark green."),
    ("What colour is the logo?", "Blue", "Actually the logo has been green since 2019."),
    ("How much does parking cost?", "5 euros", "Not true, parking costs 8 euros."),
    ("How much does parking cost?", "5 euros", "No, parking is free for residents."),
    ("When is the team meeting?", "On Monday", "No, the team meets on Thursdays at ten."),
    ("When is the team meeting?", "On Monday", "Wrong: the meeting was moved to Thursday."),
    ("What is the wifi password?", "hunter2", "No, the password is swordfish."),
    ("Who leads the project?", "Maria", "Actually, Grant leads it."),
    ("Who leads the project?", "Maria", "No, the project is led by Tom now."),
    ("Where was she born?", "In Rome", "No, she was born in a village near Turin."),
    ("Where was she born?", "In Rome", "That's false, she was born in Turin."),
    ("Does the ferry run on Sundays?", "Yes", "No, the ferry does not run on Sundays."),
    ("Which species lives there?", "Seals", "No, only otters live there."),
    ("What does the fee include?", "Lunch", "Sorry, but the fee includes only breakfast."),
]


def learnt(question: str, answer: str, turn: str) -> str | None:
    return is_correction([HumanMessage(question), AIMessage(answer), HumanMessage(turn)])


@pytest.mark.parametrize("turn", CHAT.strip().splitlines())
def test_ordinary_turns_are_not_learnt(turn: str) -> None:
    assert learnt("Who built it?", "Ann built it.", turn) is None


@pytest.mark.parametrize(("question", "answer", "turn", "fact"), CORRECTIONS)
def test_facts_are_learnt_with_their_question(question: str, answer: str, turn: str, fact: str | None) -> None:
    before = f"{question} " if question.endswith("?") else ""
    assert learnt(question, answer, turn) == (f"{before}{fact}" if fact else None)


def test_the_rule_holds_for_turns_that_it_was_not_written_for() -> None:
    taken = [turn for turn in OTHER_CHAT if learnt("Who built the tower?", "Ann built it in 1912.", turn)]
    missed = [turn for question, answer, turn in OTHER_CORRECTIONS if not learnt(question, answer, turn)]
    assert not taken
    assert missed == ["No, only otters live there."]
