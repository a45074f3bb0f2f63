"""English abbreviations, by what their full stop says about the end of a sentence."""

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
