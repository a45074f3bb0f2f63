"""How well does a reader read? Train one, or continue one, and ask it about sentences that it has not learnt.

    python benchmarks/reader.py                             # a reader from nine tenths of the exercises, asked the rest
    python benchmarks/reader.py --squad squad.jsonl --passages 0 0 --start shipped              # the shipped reader

The shipped reader was made in two steps, the second a whole epoch of the exercises that the first had not seen:

    python benchmarks/reader.py --squad squad.jsonl --passages 0 122 --keep first
    python benchmarks/reader.py --squad squad.jsonl --passages 122 312 --start first --epochs 1 --rate 7e-4 --seed 1 \\
        --ship

With `--squad` a reader learns all of `--passages` and is asked about the passages of SQuAD and of `seal_novel` that the
search for a recipe has seen: each of their questions with the sentence that holds its answer. Without it every tenth of
the exercises is held out and asked about.

A reading is right if the lexical grader finds it direct. The second figure is whether it tells questions that a
sentence answers from questions that it does not: the area under the ROC curve of `Reading.not_stated`. Another sentence
of the same passage and a question that no sentence answers count alike.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from parts import results_file
from parts.answer_rows import EXPLORED, NOVEL, SQUAD, shuffled

from seal_agent.answering.reader import READING, SHIPPED, train_reader
from seal_agent.answering.reading import read
from seal_agent.base_model.loading import load_model
from seal_agent.base_model.model import BaseModel
from seal_agent.data import bundled, contexts
from seal_agent.generation.hf import HFEngine
from seal_agent.grading.lexical import LexicalGrader
from seal_agent.lora.adapter import LoraAdapter, LoraPair
from seal_agent.lora.peft_files import read_peft, write_peft
from seal_agent.text.sentences import sentences_of
from seal_agent.text.words import content_words
from seal_agent.types import Context, ReadingPassage, Verdict

EVERY = 10  # one of how many passages is held out


@dataclass(frozen=True, slots=True)
class Exercise:
    """A question about one sentence of a passage, and the answers that count as right: none if it does not say."""

    domain: str
    passage: int
    title: str
    sentence: str
    question: str
    golds: tuple[str, ...]


def measure(options: argparse.Namespace) -> None:
    """Train a reader, ask it and the base model, and write the figures; keep or ship the reader if that is wanted."""
    base = load_model(options.model)
    taught, exercises = _split(options)
    training = replace(READING, seed=options.seed, epochs=options.epochs, learning_rate=options.rate, continued=1.0)
    start = _start(options.start)
    started = time.perf_counter()
    reader = train_reader(base, taught, training, _progress, start) if taught else start
    seconds = time.perf_counter() - started
    assert reader, "there are exercises to learn, or a reader to start from"
    if options.keep:
        options.keep.mkdir(parents=True, exist_ok=True)
        write_peft(reader, base.name, base.identity, options.keep)
    if options.ship:
        _ship(base, reader)
    rows = [{**asdict(one), "golds": list(one.golds)} for one in exercises]
    engine = HFEngine(base)
    summary: dict[str, Any] = {"exercises": sum(len(passage.questions) for passage in taught), "seconds": seconds}
    for name, adapter in (("reader", reader), ("base", None)):
        summary[name] = _read(engine, adapter, exercises, rows, name)
    config = {"model": options.model, "seed": options.seed, "training": asdict(training)}
    config |= {"passages": options.passages, "start": options.start and Path(options.start).name}
    results_file.save(options.out, config, results_file.describe_run(), rows, summary=summary)
    for name in ("reader", "base"):
        for domain, figures in summary[name].items():
            direct = results_file.percent_cell(figures, "direct", 1)
            print(f"{name:7s} {domain:10s} direct {direct} %  AUROC {figures['auroc']:.3f}")


def _read(
    engine: HFEngine,
    adapter: LoraAdapter | None,
    exercises: Sequence[Exercise],
    rows: Sequence[dict[str, Any]],
    name: str,
) -> dict[str, dict[str, Any]]:
    """Ask, add the readings to the rows under `name`, and return the figures of each domain."""
    grader = LexicalGrader()
    readings = read(engine, adapter, [(one.title, one.sentence, one.question) for one in exercises])
    for one, row, reading in zip(exercises, rows, readings, strict=True):
        row[name] = {"answer": reading.text, "not_stated": reading.not_stated}
        if one.golds:
            row[name]["direct"] = grader.direct(one.question, one.golds, reading.text) is Verdict.CORRECT
    figures = {}
    for domain in dict.fromkeys(one.domain for one in exercises):
        own = [row for row in rows if row["domain"] == domain]
        by_passage: dict[int, list[bool]] = {}
        for row in own:
            if row["golds"]:
                by_passage.setdefault(row["passage"], []).append(row[name]["direct"])
        means = [sum(values) / len(values) for values in by_passage.values()]
        figures[domain] = {
            "questions": sum(map(len, by_passage.values())),
            "direct": sum(means) / len(means),
            "direct_interval": results_file.interval(means),
            "auroc": results_file.auroc(
                [row[name]["not_stated"] for row in own if not row["golds"]],
                [row[name]["not_stated"] for row in own if row["golds"]],
            ),
        }
    return figures


# ---------------------------------------------------------------- what is learnt, and what is asked


def _split(options: argparse.Namespace) -> tuple[Sequence[ReadingPassage], list[Exercise]]:
    """The passages that teach, and what is asked."""
    passages = bundled.reading_passages()[slice(*options.passages)]
    draw = random.Random(options.seed)
    if not options.squad:
        held_out = passages[EVERY - 1 :: EVERY]
        return [passage for passage in passages if passage not in held_out], _of_exercises(held_out, draw)
    seen = {NOVEL: bundled.novel(), SQUAD: contexts.read_contexts(options.squad)}
    asked = [
        exercise
        for domain, known in seen.items()
        for number, context in enumerate(shuffled(known, 0)[:EXPLORED])
        for exercise in _of_context(domain, number, context, draw)
    ]
    return passages, asked


def _of_exercises(passages: Sequence[ReadingPassage], draw: random.Random) -> list[Exercise]:
    found = []
    for at, passage in enumerate(passages):
        asked = [(number, question, (answer,)) for number, question, answer in passage.questions]
        rows: list[tuple[int, str, tuple[str, ...]]] = list(asked)
        for number, question, golds in asked:
            others = [i for i, s in enumerate(passage.sentences) if i != number and not _holds(s, golds)]
            rows += [(draw.choice(others), question, ())] if others else []
        rows += [(draw.randrange(len(passage.sentences)), question, ()) for question in passage.not_stated]
        found += [Exercise("exercises", at, passage.title, passage.sentences[i], *rest) for i, *rest in rows]
    return found


def _of_context(domain: str, number: int, context: Context, draw: random.Random) -> list[Exercise]:
    """Each question with the sentence that holds its answer, the likeliest of several, and with one that does not."""
    found, sentences = [], sentences_of(context.text)
    for question in context.questions:
        right = [sentence for sentence in sentences if _holds(sentence, question.golds)]
        others = [sentence for sentence in sentences if sentence not in right]
        if not right:  # its answer is worded otherwise
            continue
        words = {*content_words(question.text)}
        sentence = max(right, key=lambda one: len(words & {*content_words(one)}))
        found.append(Exercise(domain, number, context.title, sentence, question.text, question.golds))
        if others:
            found.append(Exercise(domain, number, context.title, draw.choice(others), question.text, ()))
    return found


def _holds(sentence: str, golds: Sequence[str]) -> bool:
    return any(gold.casefold() in sentence.casefold() for gold in golds)


# ---------------------------------------------------------------- readers on disk


def _start(source: str) -> LoraAdapter | None:
    """The reader to continue; None for a new one."""
    return read_peft(SHIPPED if source == "shipped" else Path(source))[0] if source else None


def _ship(base: BaseModel, reader: LoraAdapter) -> None:
    """Write the reader into the package, in bfloat16."""
    pairs = {name: LoraPair(pair.a_DR.bfloat16(), pair.b_RO.bfloat16()) for name, pair in reader.pairs.items()}
    write_peft(replace(reader, pairs=pairs), base.name, base.identity, SHIPPED)
    print(f"wrote {SHIPPED}")


def _progress(done: int, total: int) -> None:
    if done % 50 == 0 or done == total:
        print(f"{done} of {total} steps", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=READING.epochs, help=f"default {READING.epochs}")
    parser.add_argument("--rate", type=float, default=READING.learning_rate, help=f"default {READING.learning_rate}")
    parser.add_argument("--passages", type=int, nargs=2, default=[0, None], metavar=("FROM", "TO"), help="exercises")
    parser.add_argument("--start", default="", help="the reader to continue: a folder, or shipped")
    parser.add_argument("--squad", type=Path, help="SQuAD passages as JSON lines, whose right sentences are read")
    parser.add_argument("--keep", type=Path, help="folder that the reader is written to")
    parser.add_argument("--ship", action="store_true", help="put the reader into the package")
    parser.add_argument("--out", type=Path, default=results_file.RESULTS / "reader.json")
    options = parser.parse_args()
    if not bundled.reading_passages()[slice(*options.passages)] and not (options.start and options.squad):
        parser.error("without --passages to learn there must be a reader to --start from, and --squad to ask about")
    measure(options)


if __name__ == "__main__":
    main()
