"""The words that only ask, in each language, and whether a text is a question with or without its mark."""

from __future__ import annotations

import functools
import re

from seal_agent.self_edits.question_words import question_words_of
from seal_agent.text.languages import language_of
from seal_agent.text.sentences import is_question

# Begin a question, beside those of `question_words_of`.
_BEGINNINGS = {
    "it": "che cosa chi dove quando quanto quanta quanti quante quale quali come perché",
    "pt": "que quem onde quando quanto quanta quantos quantas qual quais como por_que",
    "nl": "wat wie waar wanneer hoeveel welke welk hoe waarom",
    "sv": "vad vem var när hur vilken vilket vilka varför",
    "da": "hvad hvem hvor hvornår hvordan hvilken hvilket hvilke hvorfor",
    "nb": "hva hvem hvor når hvordan hvilken hvilket hvilke hvorfor",
    "fi": "mikä mitä kuka missä milloin kuinka mikä miksi miten",
    "pl": "co kto gdzie kiedy ile jaki jaka jakie który która które jak dlaczego czy",
    "cs": "co kdo kde kdy kolik jaký jaká jaké který která které jak proč",
    "hu": "mi ki hol mikor hány mennyi melyik hogyan miért",
    "ro": "ce cine unde când câți câte care cum",
    "tr": "ne kim nerede nereye kaç hangi nasıl neden niçin",
    "uk": "що хто де коли скільки який яка яке які як чому",
    "el": "τι ποιος ποια ποιο ποιοι πού πότε πώς πόσο πόσος πόση πόσα πόσες πόσοι γιατί",
    "ar": "ما ماذا من أين متى كم كيف لماذا أي هل",
    "fa": "چه کی کجا چند چرا چگونه کدام آیا",
    "he": "מה מי איפה מתי כמה איך למה איזה איזו האם",
    "ko": "누가 누구 어디 언제 무엇 뭐 몇 왜 어떻게 어느 어떤 얼마",
}
# Stand anywhere in a question.
_ANYWHERE = {
    "zh": "什么时候 什麼時候 什么 什麼 为什么 為什麼 谁 誰 哪里 哪裡 哪儿 哪兒 哪个 哪個 哪 多少 多久 多大 多高 "
    "多长 多長 几 幾 怎么 怎麼 怎样 怎樣 如何 何时 何時 何处 何處 吗 嗎",
    "ja": "何時 何年 何月 何日 何人 何個 何歳 何階 何本 何回 何度 何 誰 "
    "どこ いつ いくつ いくら どの どれ どちら どう どんな なぜ",
    "th": "อะไร ใคร ที่ไหน ไหน เมื่อไร เมื่อไหร่ กี่ ทำไม อย่างไร ยังไง เท่าไร เท่าไหร่ เท่าใด หรือไม่ ไหม",
    "ko": "누가 누구 어디 언제 무엇 몇 어떻게 어느 어떤 얼마",
    "hi": "क्या कौन किसने किसका कहाँ कहां कब कितने कितना कितनी क्यों कैसे",
}
_ENDINGS = {  # of a question without a mark
    "zh": re.compile(r"[吗嗎][。.]?$|呢$"),
    "ja": re.compile(r"(?:[すたるうんのいだ]か|かな)[。.]?$"),  # 静か is an adjective
    "th": re.compile(r"(?:ไหม|หรือไม่|หรือเปล่า)(?:ครับ|คะ|ค่ะ)?$"),
    "ko": re.compile(r"까요?\.?$|나요$|인가요$"),
    "tr": re.compile(r"\bm[ıiuü](?:d[ıiuü]r)?$"),
}
_ONLY_ASK = {
    "ko": ("합니까", "됩니까", "입니까", "습니까", "인가요", "나요"),
    "th": ("ครับ", "คะ", "ค่ะ"),
    "ja": ("ですか", "ますか"),
}
_STATES = re.compile(r"[。．.।!！…։።][^\w?？؟]*$")
_GOES_ON = re.compile(r"[,，、،;；]\s*\S")  # a comma, behind which a clause follows
_NOT_ASKED = {  # what begins like a question all the same: exclamations, and clauses before their main clause
    "en": re.compile(
        r"(?:what|such) (?:an?|such|lovely|nice|great)\b|how \w+ of \w+\b|which (?:is why|means|was why)\b|"
        r"(?:what|when|where|why|how) (?:i|you|he|she|it|we|they|there|this|that|these|those|my|your|our|his|her|their)"
        r"\b|"
        # "When I was young I lived in Rome": a question has the verb before "I".
        r"(?:what|when|where|why|how)\b"
        r"(?!.*\b(?:am|is|are|was|were|do|does|did|has|have|had|can|could|will|would|shall|should|may|might|must) "
        r"(?:i|he|she|we|they)\b).*\b(?:i|he|she|we|they)\b"
    )
}


@functools.cache
def asking_words(language: str) -> tuple[str, ...]:
    """The question words of a language, and what else only asks."""
    table = question_words_of(language)
    words = (*table.names, *table.numbers, table.what, *table.others) if table else ()
    more = f"{_BEGINNINGS.get(language, '')} {_ANYWHERE.get(language, '')}".split()
    return tuple(dict.fromkeys((*words, *(word.replace("_", " ") for word in more), *_ONLY_ASK.get(language, ()))))


def asks(text: str) -> bool:
    """Whether a text is a question: by its mark, or by its question words in a language that is known here.

    Without its mark, what ends as a statement does, or goes on behind a comma, is none.
    """
    language = language_of(text)
    if is_question(text) or is_question(text, language):
        return True
    plain = text.strip().casefold()
    if language in _ENDINGS and _ENDINGS[language].search(plain):
        return True
    if _STATES.search(plain):
        return False
    if language in _ANYWHERE:
        return any(word in plain for word in _ANYWHERE[language].split())
    begins = plain.startswith(tuple(f"{word.casefold().lstrip('¿')} " for word in asking_words(language)))
    not_asked = language in _NOT_ASKED and _NOT_ASKED[language].match(plain)
    return plain.startswith("¿") or (begins and not not_asked and not _GOES_ON.search(plain))
