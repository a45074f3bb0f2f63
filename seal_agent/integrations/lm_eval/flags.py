"""lm-eval's flags that change prompts. Our tasks are asked as their mode says, so such a flag would be ignored."""

from __future__ import annotations

from collections.abc import Sequence

from lm_eval.api.instance import Instance

from seal_agent.arc.data import task_from_json
from seal_agent.arc.text import prompt_of
from seal_agent.errors import InputError
from seal_agent.integrations.lm_eval.tasks import ARC, KNOWLEDGE, domain_of
from seal_agent.integrations.lm_eval.visuals import PLACEHOLDER
from seal_agent.prompts import question_prompt


def check_prompts(requests: Sequence[Instance]) -> None:
    """Raises InputError if the prompt of a request of our tasks is not the task's own.

    lm-eval does not tell a model its flags, so they are recognised by what they do to the first prompt of each task.
    Our tasks themselves refuse `--num_fewshot`.
    """
    checked: set[str] = set()
    for request in requests:
        if domain_of(request.doc) and request.task_name not in checked:
            checked.add(request.task_name)
            if request.args[0] not in _own_prompts(request):
                raise InputError(
                    "--system_instruction, --apply_chat_template and --fewshot_as_multiturn do not apply to "
                    f"{request.task_name} with --model seal, which asks in the chat template and as its mode says; "
                    "leave them out"
                )


def _own_prompts(request: Instance) -> tuple[str, ...]:
    """The prompts that a task's document gives without flags."""
    doc = request.doc
    if domain_of(doc) == KNOWLEDGE:
        prompt = question_prompt(doc["title"], doc["question"])
        return prompt, doc["question"], f"{PLACEHOLDER}\n{prompt}"
    if domain_of(doc) == ARC:
        task = task_from_json(doc["task_id"], doc["task"])
        return (prompt_of(task.train, task.test[doc["test"]].input, doc["style"]),)
    return (request.args[0],)
