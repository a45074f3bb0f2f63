"""The zoo table: `pytest tests/zoo --zoo-table FILE` writes what was run as a table, architecture × property."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import pytest
from zoo.models import ZOO, ZooModel

PROPERTIES: Mapping[str, str] = {
    "test_a_saved_folder_is_loaded_and_scores_the_same": "loads",
    "test_two_adapters_in_one_bank_equal_two_runs_of_peft": "bank = PEFT",
    "test_in_bf16_losses_are_finite_and_fall": "bf16",
    "test_both_recipes_train_and_what_is_learnt_is_finite": "both recipes",
    "test_peft_reads_every_layer_of_an_export_and_scores_as_we_do": "export = PEFT",
    "test_a_batch_a_row_and_a_stream_say_what_reading_everything_again_says": "decoding",
    "test_prompts_that_share_prefixes_of_different_length_are_answered_as_alone": "decoding",
    "test_scores_and_soft_labels_in_a_batch_are_those_of_a_plain_pass": "scores",
    "test_a_text_is_learnt_asked_rolled_back_and_exported": "`adapt`",
}
"""What each test shows, as the head of a column."""

HEAD = """# Architectures

Two-layer random models of the architectures that transformers calls causal, and what holds for each. `make zoo` runs
the tests and writes this page. All compare in float32 unless the column says otherwise.

- **loads**: a saved folder is loaded, and scores as the model in memory does.
- **bank = PEFT**: two adapters trained in one bank equal two runs of a plain PEFT loop.
- **bf16**: training in bfloat16 lowers the loss.
- **both recipes**: the default and the paper's recipe train every layer that they name.
- **export = PEFT**: PEFT finds every layer of an export, and scores as we do.
- **decoding**: batch, single row and stream, with a different adapter in every row, say what reading everything again
  for each token says.
- **scores**: log-probabilities in a batch are those of a plain pass.
- **`adapt`**: a text is learnt with both recipes, asked, stored, exported and rolled back.

"""

_SIGNS = {"passed": "✓", "failed": "✗", "skipped": "–"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--zoo-table", type=Path, help="write a table of the zoo's results to this Markdown file")


def pytest_configure(config: pytest.Config) -> None:
    if path := config.getoption("--zoo-table"):
        config.pluginmanager.register(ZooTable(path), "zoo-table")


class ZooTable:
    """Collects what became of each test of the zoo; the worst outcome of a cell's tests is its sign."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.models: dict[str, tuple[ZooModel, str]] = {}
        self.outcomes: dict[tuple[str, str], set[str]] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            function = getattr(item, "originalname", "")
            if function in PROPERTIES and isinstance(item, pytest.Function):
                self.models[item.nodeid] = item.callspec.params["zoo_model"], PROPERTIES[function]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.nodeid in self.models and (report.when == "call" or report.outcome != "passed"):
            model, column = self.models[report.nodeid]
            self.outcomes.setdefault((model.name, column), set()).add(report.outcome)

    def pytest_sessionfinish(self) -> None:
        if self.outcomes:
            self.path.write_text(HEAD + self.table(), encoding="utf-8")

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.outcomes:
            terminalreporter.write_line(self.table())

    def table(self) -> str:
        """The table, with the versions it was made with and how many cells hold."""
        columns = list(dict.fromkeys(PROPERTIES.values()))
        tested = [model for model in ZOO if any((model.name, column) in self.outcomes for column in columns)]
        cells = {(m.name, c): self._sign(m.name, c) for m in tested for c in columns}
        versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "peft"))
        counts = {sign: list(cells.values()).count(sign) for sign in _SIGNS.values()}
        lines = [
            f"{len(tested)} architectures, {versions}: {counts['✓']} cells hold (✓), {counts['✗']} fail (✗), "
            f"{counts['–']} cannot be compared (–).",
            "",
            "| model | kind | `model_type` | " + " | ".join(columns) + " |",
            "|---|---|---|" + ":-:|" * len(columns),
        ]
        for model in tested:
            signs = " | ".join(cells[model.name, column] for column in columns)
            lines.append(f"| {model.name} | {model.kind} | {model.model_type} | {signs} |")
        return "\n".join(lines) + "\n"

    def _sign(self, name: str, column: str) -> str:
        outcomes = self.outcomes.get((name, column), set())
        return next((_SIGNS[outcome] for outcome in ("failed", "skipped", "passed") if outcome in outcomes), " ")
