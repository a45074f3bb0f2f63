"""Superscripts: exponents are written as such, and the marks of notes are left out."""

from __future__ import annotations

import re

_RAISED = str.maketrans("0123456789+-−()n", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁽⁾ⁿ")
_EXPONENT = re.compile(r"[+−-]?[\dn+−()-]+")
_NUMBERS = re.compile(r"\d{1,3}(?:\s?[,;–-]\s?\d{1,3})*")
_MARK = re.compile(r"\[[^\]]*\]|\(\d{1,3}\)|[*†‡§¶#]+")
_BEHIND_A_STOP = re.compile(r"[.!?…,;:。！？、，][\"'”’»」』)\]]*\s*$")
_FRACTION = re.compile(r"\s*[/⁄]\s*\d?")


def superscript(text: str, before: str, after: str = "", is_link: bool = False) -> str:
    """What a text holds in place of a superscript.

    Args:
        text: The superscript.
        before: What stands before it.
        after: What follows it.
        is_link: Whether it is nothing but a link.

    "" for the mark of a note: in brackets, a link, or numbers behind a full stop. Other numbers become Unicode's
    superscripts, as in "10⁶", and the upper part of a fraction keeps its distance from a whole number: "5 1/2".
    """
    raised = text.strip()
    numbers = bool(_NUMBERS.fullmatch(raised))
    if _MARK.fullmatch(raised) or (is_link and len(raised) <= 3) or (numbers and _BEHIND_A_STOP.search(before[-4:])):
        return ""
    if numbers and _FRACTION.match(after):
        return f" {raised}" if before[-1:].isdigit() else raised
    return raised.translate(_RAISED) if _EXPONENT.fullmatch(raised) else text
