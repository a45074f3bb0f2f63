"""Abbreviations, by what their full stop says about the end of a sentence."""

from __future__ import annotations

_TITLES = """
    Mr Mrs Ms Messrs Mme Mlle Dr Prof Assoc Asst Rev Hon Fr Br Bp Msgr Supt Insp Gen Maj Capt Cpt Lt Col Cmdr Adm
    Sgt Cpl Pvt Pres Gov Sen Rep Amb Atty Mt Ft
"""
_LEADING = "vs viz cf e.g i.e approx ca esp incl"
_MONTHS = "Jan Feb Mar Apr Jun Jul Aug Sep Sept Oct Nov Dec"
_SHORTENED = """
    Jr Sr Inc Ltd Co Cos Corp Bros LLC Dept Univ St Ave Blvd Rd Hwy Mon Tue Tues Wed Thu Thurs Fri Est Vol Vols Fig Figs
    Ed Eds Trans etc al a.m p.m
"""
_NUMBERED = """
    no nos art arts fig figs vol vols sec sect ch chap op ed ex eq ref par p pp pg c ca d b r fl est lat long tel rs
    supp
"""

TITLES = frozenset(_TITLES.split())
"""Stand before a name, so they never end a sentence."""
LEADING = frozenset(_LEADING.split())
"""Stand before what they explain, so they never end a sentence either."""
SHORTENED = frozenset(f"{_SHORTENED} {_MONTHS}".split())
"""End a sentence only before what plainly begins one: "Acme Inc. It grew", but not "5 p.m. Eastern Time"."""
NUMBERED = frozenset(f"{_NUMBERED} {_MONTHS.lower()}".split())
"""In lower case: stand before a number, so they end no sentence there: "No. 5", but "the answer was no. Mary left"."""

_LEADING_ELSEWHERE = {
    "fr": "mm mme mlle dr pr me st ste mgr av env cf",
    "es": "sr sra srta dr dra ud uds lic ing prof profa arq gral cnel av avda dña",
    "de": "tägl stdl jährl bes evtl geb gest fa fam hr insb rd",
    "ru": "ул пр просп пер гр им св см рис табл инж акад проф доц напр",
    "uk": "вул просп ім св див мал рис інж акад проф напр",
    "hi": "डॉ प्रो श्री श्रीमती कु पं वि सं ई.पू",
    "bn": "ড ডা",
    "nl": "dhr mevr mr dr ir ing fa o.a d.w.z",
    "sv": "t.ex bl.a dvs",
    "pt": "sr sra dr dra av eng prof profa exmo",
    "it": "sig sig.ra dott prof",
    "pl": "inż mgr dr św pl ul al np prof hab tzw ks gen płk wg",
    "ro": "dl dna str sf bd nr prof dr ing jud mun",
    "tr": "doç dr prof yrd bkz cad sok mah",
    "id": "jl ir tn ny prof dr drs hj kab kec",
    "hu": "özv ifj szt dr prof krt kb ún",
    "el": "δρ αγ κ κα λ οδ αρ σελ βλ",
    "vi": "tp ts gs ths pgs bs ks",
    "cs": "např prof ing mudr sv tzv ul",
}
_MONTHS_ELSEWHERE = {
    "fr": "oct sept janv févr avr juil nov déc",
    "es": "ene feb abr jun jul ago sept oct nov dic",
    "de": "jan feb apr jun jul aug sept okt nov dez",
    "ru": "янв февр апр авг сент окт нояб дек",
    "nl": "jan feb apr aug sept okt nov dec",
    "pt": "jan fev abr ago set out nov dez",
}
_SHORTENED_ELSEWHERE = {  # may be the last word of a sentence, or another word
    "fr": "m art vol",
    "es": "d",
    "ru": "г гг в вв д с кв",
    "uk": "м с р рр ст",
    "hi": "रु",
    "pl": "ok im os",
    "tr": "av sn",
    "hu": "u",
}


def leads(word: str, language: str) -> bool:
    """Whether an abbreviation of another language than English, without its full stop, stands before what it is of."""
    return word in _LEADING_ELSEWHERE.get(language, "").split()


def is_shortened(word: str, language: str) -> bool:
    """Whether a word of another language than English, without its full stop, is shortened in some sentences."""
    return word in f"{_MONTHS_ELSEWHERE.get(language, '')} {_SHORTENED_ELSEWHERE.get(language, '')}".split()
