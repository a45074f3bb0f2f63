"""lm-eval's flags that change prompts: refused for our tasks, honoured for others."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("lm_eval")

from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager

from seal_agent.base_model.model import BaseModel
from seal_agent.errors import InputError
from seal_agent.integrations.lm_eval.command import run_lm_eval
from seal_agent.integrations.lm_eval.model import SealLM
from seal_agent.integrations.lm_eval.tasks import tasks_folder

FLAGS = [
    {"num_fewshot": 1},
    {"system_instruction": "Answer in Greek."},
    {"apply_chat_template": True},
    {"num_fewshot": 2, "apply_chat_template": True, "fewshot_as_multiturn": True},
]
SENTENCE = (
    r"^(--system_instruction, .* do not apply to seal_\w+ with --model seal|--num_fewshot does not apply to the seal_\*"
    r" tasks), which .*; leave (it|them) out$"
)
DATA = [{"question": f"What is {i} plus {i}?", "answer": str(2 * i)} for i in range(6)]
ORDINARY = """
task: sums
dataset_path: json
dataset_kwargs: {{data_files: {{test: {file}}}}}
test_split: test
output_type: generate_until
doc_to_text: "{{{{question}}}}"
doc_to_target: "{{{{answer}}}}"
generation_kwargs: {{until: ["\\n"], max_gen_toks: 4}}
metric_list: [{{metric: exact_match}}]
"""
flagged = pytest.mark.parametrize("flags", FLAGS, ids=" ".join)


def evaluate(lm: SealLM, task: str, folder: Path | None = None, **flags: Any) -> dict[str, Any]:
    """Evaluate two documents."""
    manager = TaskManager(
        include_path=str(folder or tasks_folder()), include_defaults=False, metadata={"limit_contexts": 1}
    )
    results: dict[str, Any] = simple_evaluate(lm, tasks=[task], task_manager=manager, limit=2, **flags)
    return results


@flagged
@pytest.mark.parametrize("task", ["seal_novel", "seal_arc_toy"])
def test_a_flag_that_would_be_ignored_is_refused_before_anything_is_trained(
    tiny_base: BaseModel, task: str, flags: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SealLM, "_learn", lambda *_: pytest.fail("training began"))
    with pytest.raises(InputError, match=SENTENCE):
        evaluate(SealLM(tiny_base, mode="self_edit"), task, **flags)


@pytest.mark.parametrize("task", ["seal_novel", "seal_arc_toy"])
def test_no_examples_and_no_flags_are_fine(tiny_base: BaseModel, task: str) -> None:
    assert evaluate(SealLM(tiny_base, mode="base"), task, num_fewshot=0)["n-shot"] == {task: 0}
    assert evaluate(SealLM(tiny_base, mode="base"), task)["n-shot"] == {task: 0}


@flagged
def test_ordinary_tasks_keep_them(tiny_base: BaseModel, tmp_path: Path, flags: dict[str, Any]) -> None:
    (tmp_path / "sums.jsonl").write_text("\n".join(map(json.dumps, DATA)))
    (tmp_path / "sums.yaml").write_text(ORDINARY.format(file=tmp_path / "sums.jsonl"))
    samples = evaluate(SealLM(tiny_base, mode="base"), "sums", tmp_path, **flags)["samples"]["sums"]
    prompts = [sample["arguments"][0][0] for sample in samples]
    assert [prompt.count("plus") for prompt in prompts] == [flags.get("num_fewshot", 0) + 1] * 2
    assert all(("Greek" in prompt) == ("system_instruction" in flags) for prompt in prompts)
    assert all(("<turn>" in prompt) == ("apply_chat_template" in flags) for prompt in prompts)


@pytest.mark.parametrize(
    ("model", "flags"), [("seal", ["--system_instruction", "Answer in Greek."]), ("hf", ["--num_fewshot", "1"])]
)
def test_the_command_line_refuses_them(
    tiny_base: BaseModel,
    tmp_path: Path,
    save_model: Callable[[BaseModel, Path], Path],
    model: str,
    flags: list[str],
) -> None:
    arguments = f"pretrained={save_model(tiny_base, tmp_path / 'tiny')}"
    command = ["--model", model, "--model_args", arguments, "--tasks", "seal_novel", "--limit", "1", *flags]
    with pytest.raises(InputError, match=SENTENCE):
        run_lm_eval(command)
