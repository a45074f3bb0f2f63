"""How well does the reader read? It is trained on nine tenths of the bundled exercises and asked the rest.

    python benchmarks/reader.py                       # measure, into results/reader.json
    python benchmarks/reader.py --ship                # and put the measured reader into the package (bundled model)

A reading is right if the lexical grader finds it direct. The second figure is whether it tells questions that a
sentence answers from questions that it does not: the area under the ROC curve of `Reading.not_stated`. Another sentence
of the same passage and a question that no sentence answers count alike.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from parts import results_file

from seal_agent.answering.reader import READING, SHIPPED, train_reader
from seal_agent.answering.reading import read
from seal_agent.base_model.loading import load_model
from seal_agent.base_model.model import BaseModel
from seal_agent.data import bundled
from seal_agent.generation.hf import HFEngine
from seal_agent.grading.lexical import LexicalGrader
from seal_agent.lora.adapter import LoraAdapter, LoraPair
from seal_agent.lora.peft_files import write_peft
from seal_agent.types import ReadingPassage, Verdict

EVERY = 10  # one of how many passages is held out


def measure(options: argparse.Namespace) -> None:
    """Train without the held-out passages, ask about those, and write the figures; with `--ship` the reader too."""
    base, passages = load_model(options.model), bundled.reading_passages()
    held_out = passages[EVERY - 1 :: EVERY]
    taught = [passage for passage in passages if passage not in held_out]
    training = replace(READING, seed=options.seed, epochs=options.epochs)
    started = time.perf_counter()
    reader = train_reader(base, taught, training, _progress)
    seconds = time.perf_counter() - started
    if options.ship:
        _ship(base, reader)
    rows = _asked(held_out, options.seed)
    engine, grader = HFEngine(base), LexicalGrader()
    summary: dict[str, Any] = {"exercises": sum(len(passage.questions) for passage in taught), "seconds": seconds}
    for name, adapter in (("reader", reader), ("base", None)):
        readings = read(engine, adapter, [prompt for prompt, _, _ in rows])
        for (_, gold, figures), reading in zip(rows, readings, strict=True):
            figures[name] = {"answer": reading.text, "not_stated": reading.not_stated}
            if gold:
                figures[name]["direct"] = grader.direct(figures["question"], [gold], reading.text) is Verdict.CORRECT
        by_passage: dict[str, list[bool]] = {}
        for _, gold, figures in rows:
            if gold:
                by_passage.setdefault(figures["title"], []).append(figures[name]["direct"])
        means = [sum(values) / len(values) for values in by_passage.values()]
        summary[name] = {
            "direct": sum(means) / len(means),
            "direct_interval": results_file.interval(means),
            "auroc": results_file.auroc(
                [f[name]["not_stated"] for _, gold, f in rows if not gold],
                [f[name]["not_stated"] for _, gold, f in rows if gold],
            ),
        }
    config = {"model": options.model, "seed": options.seed, "training": asdict(training)}
    results_file.save(options.out, config, results_file.describe_run(), [f for *_, f in rows], summary=summary)
    for name in ("reader", "base"):
        direct = results_file.percent_cell(summary[name], "direct", 1)
        print(f"{name:7s} direct {direct} %  AUROC {summary[name]['auroc']:.3f}")


def _asked(passages: Sequence[ReadingPassage], seed: int) -> list[tuple[tuple[str, str, str], str, dict[str, Any]]]:
    """(title, sentence, question), the gold answer or "", and a row for the results file."""
    draw, rows = random.Random(seed), []
    for passage in passages:
        asked = [(number, question, answer) for number, question, answer in passage.questions]
        for number, question, answer in passage.questions:
            others = [
                i for i, s in enumerate(passage.sentences) if i != number and answer.casefold() not in s.casefold()
            ]
            asked += [(draw.choice(others), question, "")] if others else []
        asked += [(draw.randrange(len(passage.sentences)), question, "") for question in passage.not_stated]
        for number, question, gold in asked:
            row = {"title": passage.title, "sentence": number, "question": question, "gold": gold}
            rows.append(((passage.title, passage.sentences[number], question), gold, row))
    return rows


def _ship(base: BaseModel, reader: LoraAdapter) -> None:
    """Write the reader into the package, in bfloat16."""
    pairs = {name: LoraPair(pair.a_DR.bfloat16(), pair.b_RO.bfloat16()) for name, pair in reader.pairs.items()}
    write_peft(LoraAdapter(reader.rank, reader.alpha, pairs, reader.transposed), base.name, base.identity, SHIPPED)
    print(f"wrote {SHIPPED}")


def _progress(done: int, total: int) -> None:
    if done % 50 == 0 or done == total:
        print(f"{done} of {total} steps", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=READING.epochs, help=f"default {READING.epochs}")
    parser.add_argument("--ship", action="store_true", help="put the reader into the package")
    parser.add_argument("--out", type=Path, default=results_file.RESULTS / "reader.json")
    options = parser.parse_args()
    measure(options)


if __name__ == "__main__":
    main()
