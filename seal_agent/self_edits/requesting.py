"""Requests in the form of a question, in each language: "Can you write a poem?" asks for no fact."""

from __future__ import annotations

import functools
import re

from seal_agent.self_edits.asking import asking_words
from seal_agent.text.scripts import UNSPACED

_BEGINNINGS = {  # patterns of the first words
    "en": r"(?:please|kindly|pls|(?:please,? )?(?:can|could|would|will|can't|couldn't|won't) you|"
    r"(?:do|would) you mind)",
    "de": r"(?:bitte|(?:kannst|könntest|würdest|magst|willst) du|(?:können|könnten|würden) sie|(?:könnt|könntet) ihr)",
    "fr": r"(?:s['’]il (?:te|vous) pla[iî]t|veuillez|(?:est-ce que )?(?:tu|vous) (?:peux|pourrais|pouvez|pourriez)|"
    r"(?:peux|pourrais)[- ]tu|(?:pouvez|pourriez)[- ]vous)",
    "es": r"(?:por favor|(?:me )?(?:puedes|podrías|podéis)|me (?:puede|podría)|(?:puede|podría) usted)",
    "it": r"(?:per favore|per piacere|(?:mi )?(?:puoi|potresti|potete|potreste)|mi (?:può|potrebbe))",
    "pt": r"(?:por favor|(?:você|tu) (?:pode|poderia|podes|consegue)|podes|(?:pode|poderia)[- ]me)",
    "nl": r"(?:alsjeblieft|alstublieft|(?:kun|kan|zou|wil) (?:je|jij)|(?:kunt|zou|wilt) u)",
    "sv": r"(?:snälla|(?:kan|kunde|skulle|vill) (?:du|ni))",
    "da": r"(?:vær venlig|(?:kan|kunne|vil) du)",
    "nb": r"(?:vær så snill|(?:kan|kunne|vil) du)",
    "fi": r"(?:ole hyvä|(?:voisit|voit|voisitte|voitte)ko)",
    "pl": r"(?:proszę|(?:czy )?(?:możesz|mógłbyś|mogłabyś|może pani?|mógłby pan|mogłaby pani))",
    "cs": r"(?:prosím|(?:můžeš|můžete|mohl bys|mohla bys|mohli byste))",
    "hu": r"(?:kérlek|kérem|(?:meg)?(?:tudnál|tudnád|tennéd))",
    "ro": r"(?:te rog|vă rog|(?:poți|ai putea|puteți|ați putea))",
    "tr": r"(?:lütfen|.*(?:abilir|ebilir) misin(?:iz)?\W*$)",
    "id": r"(?:tolong|mohon|(?:bisakah|dapatkah|bisa|maukah) (?:kamu|anda))",
    "vi": r"(?:làm ơn|(?:bạn|anh|chị) có thể)",
    "ru": r"(?:пожалуйста|(?:не )?(?:можешь|можете|мог бы ты|могла бы ты|могли бы вы|могли ли бы вы))",
    "uk": r"(?:будь ласка|(?:чи )?(?:можеш|можете|міг би ти|могла б ти|могли б ви))",
    "el": r"(?:παρακαλώ|(?:θα )?(?:μπορείς|μπορείτε|μπορούσες|μπορούσατε))",
    "he": r"(?:בבקשה|(?:אתה |את )?(?:יכול|יכולה|תוכל|תוכלי))",
    "ar": r"(?:من فضلك|لو سمحت|(?:هل )?(?:يمكنك|تستطيع|يمكنكم|بإمكانك))",
    "fa": r"(?:لطفاً?|(?:آیا )?(?:می[\u200c ]?توانید|می[\u200c ]?توانی))",
    "hi": r"(?:कृपया|क्या (?:आप|तुम) .*(?:सकते|सकती))",
    "zh": r"(?:[请請](?![问問])|[你您]?(?:能不能|可不可以|能否|可以|能)"
    r"[给給帮幫为為替把写寫翻画畫告解说說讲講]|[帮幫]我)",
    "ja": r".*(?:ください|(?:くれ|もらえ|いただけ)(?:ますか|ませんか|る))\W*$",
    "ko": r".*(?:주세요|주십시오|줄래요?|주시겠(?:어요|습니까)|[줄주실] 수 "
    r"(?:있나요|있어요|있습니까|있을까요|있니))\W*$",
    "th": r"(?:กรุณา|โปรด|(?:คุณ)?ช่วย)",
}
_TELLS = {  # stems: who is asked to tell who built it is asked who built it
    "en": "tell say explain remind recall remember know name",
    "de": "sag erklär verrat nenn wiss weiß erinner",
    "fr": "dire expliqu savoir rappel nommer",
    "es": "dec explic sabe record nombr",
    "it": "dir spieg sape ricord",
    "pt": "diz explic sabe lembr",
    "nl": "vertel zeg uitleg weet",
    "sv": "berätta säg förklar veta",
    "da": "fortæl sig forklar vide",
    "nb": "fortell si forklar vite",
    "fi": "kerto sano selit",
    "pl": "powie wyjaśni",
    "cs": "říc řek vysvětl",
    "hu": "mond magyaráz",
    "ro": "spune explic",
    "tr": "söyle açıkla anlat",
    "ru": "сказ подска объясн",
    "uk": "сказ підка поясн",
    "el": "πεις πείτε πεί εξηγ",
    "he": "להגיד לספר להסביר לומר",
    "ar": "تخبر تقول تشرح",
    "fa": "بگو توضیح",
    "hi": "बता",
    "zh": "告诉 告訴 说 說 解释 解釋 讲 講",
    "ja": "教え 説明",
    "ko": "알려 말해 말씀 가르쳐 설명",
    "th": "บอก อธิบาย",
}
_ENGLISH_ASKING = ("whom", "whose", "whether", "if")


def is_request(text: str) -> bool:
    """Whether a sentence requests something other than to be told a fact, in any of the languages above."""
    plain = text.strip().casefold().lstrip("¿¡")
    return any(_pattern(code).match(plain) and not _asks_to_be_told(plain, code) for code in _BEGINNINGS)


def _asks_to_be_told(plain: str, language: str) -> bool:
    asking = (*asking_words(language), *(_ENGLISH_ASKING if language == "en" else ()))
    words = [word.casefold() for word in asking]
    if UNSPACED.search(plain) or language == "ko":
        asked = any(word in plain for word in words)
    else:
        asked = bool(re.search(rf"\b(?:{'|'.join(map(re.escape, words))})\b", plain)) if words else False
    return asked and any(stem in plain for stem in _TELLS.get(language, "").split())


@functools.cache
def _pattern(language: str) -> re.Pattern[str]:
    """The beginnings of a language, up to the end of a word where it has spaces."""
    end = "" if language in ("zh", "ja", "ko", "th") or "$" in _BEGINNINGS[language] else r"(?!\w)"
    return re.compile(_BEGINNINGS[language] + end)
