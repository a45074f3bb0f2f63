"""Whether a turn that contradicts an answer states a fact: a rule for English.

Most turns that begin with "No" or "Actually" want something else, judge the answer, or end the conversation. A fact is
known by what it is about: a name, number or date that the answer lacks, or words of the question or the answer
together with a finite verb.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from seal_agent.answering.turns import is_question
from seal_agent.text.sentences import sentences_of
from seal_agent.text.words import content_words, negates, words_of

MIN_WORDS = 3  # of a statement: "no, thanks" teaches nothing

_END = r"(?=\s*(?:[,.:;!—–]|-\s|$))"
_RIGHT = (
    r"(?:quite |really |exactly |entirely )?(?:right|correct|true|wrong|incorrect|false|mistaken|accurate|a mistake)"
)
_CONTRADICTS = (
    rf"(?:no+|nope|nah){_END}",
    # Without a comma a statement follows; "no idea", "no problem" and "no one" say something else.
    r"no(?=\s+(?:it|it['’]s|its|the|that|that['’]s|this|they|he|she|there|his|her|their|(?-i:[A-Z0-9])\w*)\b)",
    rf"not (?:quite|exactly|really|true|right|correct){_END}",
    rf"(?:that|this|it|you|they|(?:your|the|that|this) (?:last )?answer)(?:['’]s|['’]re| is| are| was| were)"
    rf"(?:n['’]t)?(?: just| simply| still| actually| not)? {_RIGHT}{_END}",
    r"you (?:got|have|had|['’]ve got) (?:that|this|it) wrong",
    rf"(?:wrong|incorrect|false)(?: answer)?{_END}",
    rf"(?:a )?(?:small |minor |quick )?correction{_END}",
    r"(?:sorry,? but|i(?:['’]m| am) afraid)(?: (?:that|this|it)(?:['’]s| is| was) (?:wrong|incorrect|not right))?",
    r"(?:actually|in fact)",
)
_FILLS = rf"(?:well|hmm+|hm|oh|ah|um|wait|hold on|close|almost|sorry|but|and){_END}|(?:but|and|oh|well|wait)(?=\s)"
_BREAK = r"[\s,.:;!—–-]*"
_CONTRADICTION = "|".join(_CONTRADICTS)
_OPENING = re.compile(
    rf"(?:(?:{_FILLS}){_BREAK})*(?:{_CONTRADICTION}){_BREAK}(?:(?:{_CONTRADICTION}|{_FILLS}){_BREAK})*", re.IGNORECASE
)


def _listed(words: str) -> frozenset[str]:
    return frozenset(words.split())


_COMMANDS = _listed(
    """
    add adjust answer apply ask avoid begin bring build calculate call cancel change check choose clarify close
    come compare complete compute consider continue convert copy correct count create cut define delete describe do
    don't double drop edit elaborate email ensure expand explain fetch fill find finish fix focus follow forget
    format generate get give go guess help highlight hold ignore imagine improve include insert join keep leave let
    let's list listen look lower make mention merge move name never open order paraphrase paste pick pretend print
    proceed put quote read recheck recommend redo reduce reformat remember remind remove rename reorder repeat
    rephrase replace reply research respond restart retry return review revise rewrite run save say scrap scroll
    search see select send separate set share shorten show simplify skip solve sort speak spell split start state
    stay stick stop suggest summarise summarize swap switch take talk tell think throw tone translate treat trim
    try turn undo update use verify wait watch word write
    """
)
_NO_FACT = _listed(
    """
    i i'm i'd i'll i've you you're you'd you'll can could would should shall may what why how who where when which
    whatever please just thanks thank cheers sorry need problem worries more longer one nothing maybe perhaps
    probably hopefully anything something ok okay yes yeah yep sure hi hello hey bye good great nice fine perfect
    cool right wrong enough forgot gotcha understood agreed same another anyway instead later next less shorter
    better simpler whichever
    """
)
_ASIDES = _listed("actually also now then so first but and though still really simply again instead")
_ASKS = re.compile(
    r"\b(?:please|thanks|thank you|thx|instead|would be|would do|will do|would like|prefer|"
    r"not (?:yet|now|today|needed)|bye|goodbye|again|tomorrow|tonight|later|for now|my (?:bad|fault|mistake))\b",
    re.IGNORECASE,
)
_VERDICT = "|".join(
    _listed(
        """
        all alright amazing awesome awful bad best better boring broken clear clearer complicated confusing
        cool dull done easy enough excellent fair fine finished formal fun funny good great hard helpful
        important informal interesting it joke late long lovely me mess missing nice nonsense now ok okay
        perfect private question ready right short shorter simple smart solved sorted start strange stupid
        terrible there unclear urgent useful useless vague weird what why wonderful working wrong you
        """
    )
)
_JUDGED = re.compile(
    r"(?:[\w'’-]+ ){0,4}?[\w-]+(?: (?:still|just|already|really))?(?:"
    r"(?:['’]s|['’]re| is| are| was| were| looks?| seems?| sounds?| works?| reads?| helps?| feels?)(?:n['’]t)?"
    r"(?: (?:not|so|too|very|really|quite|rather|already|still|much|a|an|the|bit|just|all|pretty|more|most|exactly|"
    r"perfectly|now|actually|only|kind|sort|of|fairly|totally|also|even|little))*"
    rf"(?: (?:{_VERDICT})(?=\s*(?:$|[.,!;:]|(?:for|to|as|with|now|already|and|but|when|until|here|one|if|because|from|"
    r"of|idea|job|work|point|thing|start)\b))|\s*$|[.!])"
    r"| (?:do|does|did)(?:n['’]t| not) (?:work|help|matter|make sense)| makes? (?:\w+ )?sense)",
    re.IGNORECASE,
)
_OF_THE_TALK = _listed(
    """
    answer answers bit bullet bullets character characters chat code conversation draft email example examples file
    format heading joke language length letter line lines list message option page paragraph paragraphs part phrase
    poem point points question questions reply response sentence sentences story style summary tail text thing
    title tone topic translation version word wording words
    """
)
_LANGUAGES = _listed("english german french spanish italian portuguese dutch russian chinese japanese arabic")
_SPEAKERS = _listed("i i'm i'd i'll i've me my mine we we're we'll our ours us you you're your yours here today")
_DATES = _listed(
    """
    january february march april june july august september october november december monday tuesday wednesday
    thursday friday saturday sunday mondays tuesdays wednesdays thursdays fridays saturdays sundays two three four
    five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen
    twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million billion dozen noon midnight
    """
)
_FINITE = _listed(
    """
    is isn't are aren't was wasn't were weren't am be been has hasn't had hadn't have haven't does doesn't did
    didn't do don't will won't can can't cannot could couldn't may might must should would it's that's he's she's
    there's they're became began brought built bought came chose drew drove fell felt flew found fought gave got
    grew held kept knew led left lies lost made meant met opens closes paid ran rose said sat saw sent set sold
    spent spoke stood stands sings taught thought told took won wore wrote costs contains comes goes needs lives
    means
    """
)
_WISHES = ("for", "with", "without", "about", "like", "as", "to")
"""Begin a fragment about the answer itself: "for Windows 11"."""
_SUBJECTS = _listed("it he she this that who which there")
_PLURALS = _listed("we they")
_WORD = re.compile(r"[^\W_]+(?:[.,:'’-][^\W_]+)*")


def stated_against(question: str, answer: str, turn: str) -> str:
    """What a turn states against the answer to a question; "" where it only asks, judges, thanks or chats."""
    opening = _OPENING.match(turn)
    if not opening:
        return ""
    statement, comma = turn[opening.end() :], opening.group().rstrip()[-1:] not in tuple(".!")
    kept: list[str] = []
    for i, sentence in enumerate(sentences_of(statement, "en")):
        inside = comma and i == 0  # a capital letter at its beginning is a name's
        if _may_state(sentence, inside) and (kept or _is_of_a_fact(sentence, question, answer, inside)):
            kept.append(sentence)
    text = " ".join(kept)
    return f"{text[0].upper()}{text[1:]}" if len(text.split()) >= MIN_WORDS else ""


def _may_state(sentence: str, inside: bool) -> bool:
    """Whether a sentence is neither a question, nor a request, nor a judgement, nor about who speaks."""
    words = _words(sentence)
    while words and _folded(words[0]) in _ASIDES:
        words, inside = words[1:], True
    if not words or sentence.rstrip().endswith("?") or _ASKS.search(sentence) or _JUDGED.match(sentence):
        return False
    first = _folded(words[0])
    named = inside and words[0][0].isupper() and _has_finite(words[1:3], frozenset())
    return first not in _NO_FACT and (first not in _COMMANDS or named)


def _is_of_a_fact(sentence: str, question: str, answer: str, inside: bool) -> bool:
    """Whether a sentence has evidence of a fact about what was asked or answered."""
    words, known = _words(sentence), {*map(_folded, _words(answer))}
    folded = [_folded(word) for word in words]
    finite = _has_finite(words, {*map(_folded, _words(question))})
    spoken = not _SPEAKERS.isdisjoint(folded)
    about = _content(question if spoken else f"{question} {answer}")
    said = _content(sentence)
    shares = finite and bool(said & about) and (bool(said - about) or negates(folded))
    if spoken or not _OF_THE_TALK.isdisjoint(set(folded[:3]) - {*map(_folded, _words(question))}):
        return shares
    named = [
        _folded(word) for i, word in enumerate(words) if _is_particular(word) or (word[0].isupper() and (i or inside))
    ]
    fresh = {*named} - known - {*_LANGUAGES, "i"}
    fragment = is_question(question) and _OF_THE_TALK.isdisjoint(folded) and folded[0] not in _WISHES
    return shares or (bool(fresh) and (finite or fragment))


def _content(text: str) -> set[str]:
    """What a text is about, without the words for the conversation."""
    return {*content_words(text)} - {*words_of(" ".join(_OF_THE_TALK | _SPEAKERS | {"other", "same", "new", "still"}))}


def _is_particular(word: str) -> bool:
    """Whether a word is a number or a date."""
    return any(map(str.isdigit, word)) or _folded(word) in _DATES


def _has_finite(words: Sequence[str], asked: Collection[str]) -> bool:
    """Whether one of the words is a finite verb, by its form or by that of the question: "closes" beside "close"."""
    folded = [_folded(word) for word in words]
    return any(
        word in _FINITE
        or (len(word) > 4 and word.endswith("ed"))
        or (word.endswith("s") and (before in _SUBJECTS or word[:-1] in asked or word[:-2] in asked))
        or (before in _PLURALS and word in asked)
        for before, word in zip(("", *folded), folded, strict=False)
    )


def _words(text: str) -> list[str]:
    return _WORD.findall(text)


def _folded(word: str) -> str:
    return word.casefold().replace("’", "'")
