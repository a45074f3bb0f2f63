"""All self-edit formats by name. To add one, see "A self-edit format" in CONTRIBUTING."""

from __future__ import annotations

from collections.abc import Mapping

from seal_agent.errors import InputError
from seal_agent.prompts import load_prompt
from seal_agent.self_edits.formats.cloze import CLOZE
from seal_agent.self_edits.formats.evidence import EVIDENCE_FORMAT
from seal_agent.self_edits.formats.format import DerivedFormat
from seal_agent.self_edits.formats.sentence_qa import SENTENCE_QA
from seal_agent.self_edits.formats.sentences import SENTENCES, SHUFFLED

PASSAGE = "passage"
"""The passage itself, without notes."""

PICTURE = "picture"
"""Notes about a picture of the context, which are written wherever there is one. They are learnt without it."""

IN_VIEW = "picture-in-view"
"""The questions about a picture, learnt with the picture in view too."""

SPA_FORMATS = (
    "key-concepts", "mind-map", "implications", "critical-qa", "case-studies", "discussion", "lecture",
)  # fmt: skip
"""The kinds of notes of SPA (arXiv 2603.22213, section 3): to learn concepts, to think critically, and to tell others.

The paper names them key concepts, mind map, implications, QA with critical thinking, case studies, discussions and
teacher-style; the prompts are our own.
"""

WRITTEN_FORMATS = tuple(dict.fromkeys(("implications", "implications-long", "rewrite", "self-qa", *SPA_FORMATS)))
"""Formats written with one prompt about the whole passage: prompts/NAME.txt."""

DERIVED: Mapping[str, DerivedFormat] = {
    derived.name: derived for derived in (SENTENCES, SHUFFLED, CLOZE, SENTENCE_QA, EVIDENCE_FORMAT)
}
"""Formats derived sentence by sentence. Their notes come already checked."""

DERIVED_FORMATS = tuple(DERIVED)

FORMATS = (PASSAGE, *WRITTEN_FORMATS, *DERIVED_FORMATS, IN_VIEW)


def check_format(name: str) -> None:
    """Raise InputError unless `name` is a bundled format or a .txt file with {context} in it."""
    if name in FORMATS:
        return
    if name.endswith(".txt"):
        if "{context}" not in load_prompt(name):
            raise InputError(f"the format file {name} has no {{context}}; write {{context}} where the passage belongs")
        return
    raise InputError(f"there is no self-edit format {name!r}; use {', '.join(FORMATS)} or the path of a .txt file")


def is_model_written(name: str) -> bool:
    """Whether a self-edit of this format is one text by a model, which a policy can therefore learn to write."""
    return name not in (PASSAGE, PICTURE, IN_VIEW) and name not in DERIVED
