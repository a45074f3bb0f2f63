"""`lm_eval --model seal`: found without plug-ins, adapts once per context, leaves the model and the store alone."""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import files
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("lm_eval")

from conftest import random_adapter
from fakes import ScriptedEngine
from lm_eval.api.instance import Instance
from lm_eval.tasks import TaskManager
from tokenizers.processors import TemplateProcessing

from seal_agent.base_model.model import BaseModel
from seal_agent.config import AnswerConfig, InnerLoopConfig, SelfEditConfig
from seal_agent.data import bundled
from seal_agent.errors import InputError, TrainingError
from seal_agent.generation.hf import HFEngine
from seal_agent.generation.vllm.engine import VLLMEngine
from seal_agent.generation.vllm.requests import Request, Written
from seal_agent.grading.model_judge import ModelJudge
from seal_agent.integrations.lm_eval import hook as lm_eval_hook
from seal_agent.integrations.lm_eval import model as integration
from seal_agent.integrations.lm_eval.arguments import read_arguments
from seal_agent.integrations.lm_eval.command import run_lm_eval
from seal_agent.integrations.lm_eval.model import SealLM
from seal_agent.integrations.lm_eval.tasks import UNANSWERED, tasks_folder
from seal_agent.training import train as inner_loop
from seal_agent.types import Completion, Verdict

ROOT = Path(__file__).parents[3]
PTH = ROOT / "seal_agent" / "integrations" / "lm_eval" / "hook.pth"
FAST = {"epochs": 1, "rank": 2, "max_tokens": 8}
GREEDY = {"until": [], "max_gen_toks": 6, "do_sample": False}


def python(code: str, *flags: str, **variables: str) -> str:
    """What a fresh interpreter prints; fails if it writes to stderr or exits with an error."""
    env = {k: v for k, v in os.environ.items() if k != "SEAL_NO_LM_EVAL_HOOK"} | variables
    done = subprocess.run([sys.executable, *flags, "-c", code], capture_output=True, text=True, env=env, timeout=120)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout.strip()


def asked(question: str, context: str, title: str = "Town", task: str = "seal_novel") -> Instance:
    doc = {"seal": "knowledge", "title": title, "context": context, "question": question}
    return Instance("generate_until", doc, (question, GREEDY), 0, (task, 0, 1))


def ordinary(prompt: str) -> Instance:
    return Instance("generate_until", {"text": prompt}, (prompt, {**GREEDY, "until": ["zzz"]}), 0, ("other", 0, 1))


def scored(context: str, continuation: str) -> Instance:
    return Instance("loglikelihood", {}, (context, continuation), 0, ("other", 0, 1))


def load_task(name: str, **metadata: object) -> Any:
    return TaskManager(include_path=str(tasks_folder()), include_defaults=False, metadata=metadata).load([name])[
        "tasks"
    ][name]


# ---------------------------------------------------------------- the start-up hook


def test_the_hook_is_one_line_that_costs_under_two_milliseconds() -> None:
    assert len(PTH.read_text().splitlines()) == 1
    timed = (
        f"import os, time; line = open({str(PTH)!r}).read(); start = time.perf_counter(); exec(line); "
        "print(time.perf_counter() - start)"  # `site`, which reads such files, has imported os before
    )
    seconds = [float(python(timed, "-I", "-S")) for _ in range(7)]
    assert statistics.median(seconds) < 0.002


def test_the_hook_imports_nothing_into_an_interpreter_that_never_imports_lm_eval() -> None:
    probe = f"import os, sys; old = set(sys.modules); exec(open({str(PTH)!r}).read()); print(set(sys.modules) - old)"
    assert python(probe, "-I", "-S") == "set()"


def test_a_plain_interpreter_has_the_hook_and_nothing_of_ours() -> None:
    probe = (
        "import sys; print([f.__name__ for f in sys.meta_path if 'Seal' in getattr(f, '__name__', '')], "
        "[m for m in sys.modules if m.startswith('seal_agent')])"
    )
    assert python(probe) == "['SealLmEvalHook'] []"
    assert python(probe, SEAL_NO_LM_EVAL_HOOK="1") == "[] []"


def test_lm_eval_finds_our_model_beside_its_own() -> None:
    probe = (
        "from lm_eval.api.registry import get_model, model_registry; print(get_model('dummy').__name__); "
        "import lm_eval.models as m; print(set(m.MODEL_MAPPING) < set(model_registry), 'seal' in model_registry); "
        "print(type(m.__loader__).__name__, m.__loader__ is m.__spec__.loader)"
    )
    assert python(probe).split() == ["DummyLM", "True", "True", "SourceFileLoader", "True"]


def test_the_hook_is_off_by_its_variable() -> None:
    probe = "import lm_eval.models; from lm_eval.api.registry import model_registry as r; print('seal' in r, 'hf' in r)"
    assert python(probe, SEAL_NO_LM_EVAL_HOOK="1") == "False True"


def test_an_lm_eval_that_loads_plug_ins_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from lm_eval.api import registry

    bare = registry.Registry("model")
    monkeypatch.setattr(registry, "model_registry", bare)
    monkeypatch.setattr(registry, "load_plugins", lambda: None, raising=False)
    lm_eval_hook.register()
    assert len(bare) == 0
    monkeypatch.delattr(registry, "load_plugins")
    lm_eval_hook.register()
    assert list(bare) == ["seal"]


def test_the_line_is_silent_where_the_package_is_gone(tmp_path: Path) -> None:
    (tmp_path / "seal_agent_lm_eval.pth").write_bytes(PTH.read_bytes())
    (tmp_path / "lm_eval").mkdir()
    (tmp_path / "lm_eval" / "__init__.py").touch()
    (tmp_path / "lm_eval" / "models.py").write_text("name = 'untouched'")
    probe = f"import site; site.addsitedir({str(tmp_path)!r}); import lm_eval.models as m; print(m.name)"
    assert python(probe, "-I", "-S") == "untouched"


def wheel_in(folder: Path, version: str = "standard") -> zipfile.ZipFile:
    """The wheel that pip would install, built anew."""
    wheel = pytest.importorskip("hatchling.builders.wheel")
    (built,) = wheel.WheelBuilder(str(ROOT)).build(directory=str(folder), versions=[version])
    return zipfile.ZipFile(built)


@pytest.mark.parametrize("version", ["standard", "editable"])
def test_the_hook_can_be_declined_at_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    def hooks() -> list[str]:
        return [name for name in wheel_in(tmp_path, version).namelist() if name == "seal_agent_lm_eval.pth"]

    monkeypatch.setenv("SEAL_NO_LM_EVAL_HOOK", "1")
    assert hooks() == []
    monkeypatch.setenv("SEAL_NO_LM_EVAL_HOOK", "0")
    assert hooks() == ["seal_agent_lm_eval.pth"]


def test_the_hook_is_removed_by_the_line_in_the_docs(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    match = re.search(r"`rm \"\$\(python -c '(.*?)'\)(/\S+)\"`", page)
    assert match is not None
    named = Path(python(match[1]) + match[2])
    (installed,) = [file.locate() for file in files("seal-agent") or [] if file.name == "seal_agent_lm_eval.pth"]
    assert named == Path(str(installed)).resolve()


def test_a_wheel_carries_the_hook_and_the_tasks(tmp_path: Path) -> None:
    archive = wheel_in(tmp_path)
    assert [name for name in archive.namelist() if name.endswith(".pth")] == ["seal_agent_lm_eval.pth"]
    assert archive.read("seal_agent_lm_eval.pth") == PTH.read_bytes()
    assert "seal_agent/data/reader/adapter_model.safetensors" in archive.namelist()
    wanted = (
        "_knowledge_yaml",
        "seal_novel/seal_novel.yaml",
        "seal_novel/utils.py",
        "seal_squad/README.md",
        "seal_pictures/pictures.jsonl",
    )
    assert {f"lm_eval_tasks/{name}" for name in wanted} <= set(archive.namelist())


def test_the_installed_package_carries_the_hook_behind_its_own_path() -> None:
    """Where the checkout is installed editable, a second file puts it on the path and must be read first."""
    hooks = [file.name for file in files("seal-agent") or [] if file.suffix == ".pth"]
    assert max(hooks) == "seal_agent_lm_eval.pth"


# ---------------------------------------------------------------- arguments


def test_arguments_are_the_fields_of_the_configs_by_name() -> None:
    settings = read_arguments(
        {
            "epochs": 20,
            "alpha": 8,
            "targets": "q_proj+v_proj",
            "format": "rewrite+self-qa",
            "per_format": 2,
            "seed": 3.0,
        }
    )
    assert settings.inner_loop == InnerLoopConfig(epochs=20, alpha=8.0, targets=("q_proj", "v_proj"), seed=3)
    assert settings.self_edit == SelfEditConfig(formats=("rewrite", "self-qa"), per_format=2)


@pytest.mark.parametrize(
    ("arguments", "mode", "formats"),
    [
        ({}, "self_edit", ("evidence",)),
        ({"mode": "passage"}, "passage", ("passage",)),
        ({"adapter": 42}, "base", ("evidence",)),
        ({"recipe": "paper"}, "self_edit", ("implications",)),
    ],
)
def test_the_mode_decides_what_is_trained(arguments: Mapping[str, object], mode: str, formats: tuple[str]) -> None:
    settings = read_arguments(arguments)
    assert (settings.mode, settings.self_edit.formats) == (mode, formats)


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        ({"epoch": 3}, "did you mean epochs"),
        ({"modes": "base"}, "did you mean mode"),
        ({"formatt": "rewrite"}, "did you mean format"),
        ({"zzz": 1}, "known: pretrained, mode, "),
        ({"mode": "selfedit"}, "'base', 'in_context', 'retrieval', 'passage', 'ttt', 'random' or 'self_edit'"),
        ({"rank": 2.5}, "rank=2.5"),
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"format": "haiku"}, "there is no self-edit format 'haiku'"),
        ({"mode": "passage", "format": "rewrite"}, "leave format= out"),
        ({"mode": "self_edit", "adapter": "work"}, "mode=base"),
        ({"limit_contexts": 0}, "limit_contexts must be at least 1"),
    ],
)
def test_a_wrong_argument_is_named_with_the_fix(arguments: Mapping[str, object], hint: str) -> None:
    with pytest.raises(InputError, match=hint.replace(".", r"\.")):
        read_arguments(arguments)


def test_the_recipe_decides_how_adapters_answer_unless_the_style_is_given() -> None:
    assert read_arguments({}).answer == AnswerConfig(style="short", least_confidence=0.0)
    assert read_arguments({"mode": "passage"}).answer.style == "plain"
    assert read_arguments({"recipe": "paper"}).answer.style == "plain"
    assert read_arguments({"recipe": "default"}).answer == AnswerConfig(), "a recipe that is named brings its own"
    assert read_arguments({"recipe": "default", "least_confidence": 0}).answer.least_confidence == 0.0
    chosen = read_arguments({"recipe": "paper", "answer_style": "sentence", "least_confidence": 0.3}).answer
    assert (chosen.style, chosen.least_confidence) == ("sentence", 0.3)
    with pytest.raises(InputError, match="answer_style='long' cannot be used"):
        read_arguments({"answer_style": "long"})
    with pytest.raises(InputError, match="least_confidence"):
        read_arguments({"least_confidence": 1.5})


def test_the_batch_size_flag_is_not_the_inner_loops(tiny_base: BaseModel) -> None:
    flags = {"batch_size": "8", "max_batch_size": None, "device": "cuda:0"}
    lm = SealLM.create_from_arg_obj({"pretrained": tiny_base, "batch_size": 2}, flags)
    assert (lm.batch_size, lm.engine.max_rows, lm.settings.inner_loop.batch_size) == (8, 8, 2)


def test_use_cache_is_refused_with_the_reason(tiny_base: BaseModel, tmp_path: Path) -> None:
    from lm_eval.api.model import CachingLM

    with pytest.raises(InputError, match=r"--use_cache .* by its prompt alone"):
        CachingLM(SealLM(tiny_base), str(tmp_path / "cache.db"))


# ---------------------------------------------------------------- adapting


def test_each_context_is_learnt_once_and_answers_come_in_order(
    tiny_base: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs: list[Any] = []
    monkeypatch.setattr(integration, "train", lambda *a: jobs.extend(a[1]) or inner_loop.train(*a))
    lm = SealLM(tiny_base, mode="passage", learning_rate=0.1, **FAST)
    requests = [
        asked("Who rules?", "Ottoline rules the town."),
        ordinary("Once upon"),
        asked("Who rules?", "Brusk rules the town."),
        asked("What is it?", "Ottoline rules the town."),
        asked("Who rules?", "Ottoline rules the town.", title="Village"),
    ]
    said = lm.generate_until(requests, disable_tqdm=True)
    assert len(jobs) == 3
    shuffled = [3, 4, 1, 0, 2]
    assert lm.generate_until([requests[i] for i in shuffled], disable_tqdm=True) == [said[i] for i in shuffled]
    assert len({said[0], said[2], said[4]}) > 1, "the same question has its own answer in each context"


def test_contexts_beyond_a_chunk_are_learnt_too(tiny_base: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(integration, "CONTEXTS_AT_ONCE", 2)
    lm = SealLM(tiny_base, mode="passage", **FAST)
    requests = [asked("Who?", f"Person {i} did it.") for i in range(5)]
    alone = [lm.generate_until([request], disable_tqdm=True)[0] for request in requests]
    assert lm.generate_until(requests, disable_tqdm=True) == alone


def test_the_model_is_as_before_and_the_store_is_not_touched(
    tiny_base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEAL_HOME", str(tmp_path / "home"))
    ids = torch.tensor([tiny_base.tokens("The last ferry leaves at noon.")])
    before = tiny_base.module(ids).logits
    pad = tiny_base.tokenizer.pad_token_id
    SealLM(tiny_base, mode="self_edit", **FAST).generate_until([asked("When?", "At noon.")], disable_tqdm=True)
    assert torch.equal(tiny_base.module(ids).logits, before)
    assert tiny_base.tokenizer.pad_token_id == pad
    assert not (tmp_path / "home").exists()


def test_modes_see_what_they_should(tiny_base: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    prompts: list[str] = []

    def spy(self: Any, given: Any, sampling: Any, *rest: Any) -> list[Any]:
        prompts.extend(prompt[-1].content for prompt in given)
        return [Completion("A fact about towns.", 5, 9, "stop") for _ in given]

    monkeypatch.setattr(HFEngine, "generate", spy)
    for mode in ("base", "in_context", "passage", "self_edit"):
        lm = SealLM(tiny_base, mode=mode, recipe="paper", **FAST)
        lm.generate_until([asked("Who rules?", "Ottoline rules.")], disable_tqdm=True)
    base, in_context, passage, notes, self_edit = prompts
    assert base == passage == self_edit
    assert "Ottoline" not in base
    assert "Ottoline" in in_context
    assert "Ottoline" in notes


def test_one_context_that_cannot_be_learnt_spoils_only_itself(
    tiny_base: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(base: Any, jobs: Any, progress: Any) -> Any:
        if any(len(sequence.input_ids) > 200 for job in jobs for sequence in job.sequences):
            raise TrainingError("the loss became nan")
        return inner_loop.train(base, jobs, progress)

    monkeypatch.setattr(integration, "train", failing)
    lm = SealLM(tiny_base, mode="passage", **FAST)
    good, bad = lm.generate_until([asked("Who?", "short"), asked("Who?", "long " * 60)], disable_tqdm=True)
    assert bad == f"{UNANSWERED}the loss became nan]"
    assert not good.startswith(UNANSWERED)


def test_a_stored_adapter_changes_ordinary_tasks_and_only_through_itself(
    tiny_base: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = SealLM(tiny_base, mode="base")
    monkeypatch.setattr(integration, "_stored_adapter", lambda base, _: (random_adapter(base, seed=1), "abc"))
    tuned = SealLM(tiny_base, adapter="work")
    pairs = [scored("The ferry", " leaves"), scored("", "Noon")]
    text = Instance("loglikelihood_rolling", {}, ("Arrive hungry.",), 0, ("other", 0, 1))
    once = plain.loglikelihood(pairs, disable_tqdm=True)
    assert tuned.loglikelihood(pairs, disable_tqdm=True) != once
    assert tuned.loglikelihood_rolling([text], True) != plain.loglikelihood_rolling([text], True)
    assert tuned.generate_until([ordinary("Once")], True) != plain.generate_until([ordinary("Once")], True)
    assert tuned.generate_until([asked("Who?", "x")], True) != plain.generate_until([asked("Who?", "x")], True)
    assert plain.loglikelihood(pairs, disable_tqdm=True) == once


class CountingBackend:
    """A vLLM that gives every token a log-probability of -1, and refuses what exceeds its window, as vLLM does."""

    max_adapters = 1

    def __init__(self, window: int) -> None:
        self.window = window

    def run(self, requests: Sequence[Request], done: Callable[[], None]) -> list[Written]:
        assert all(len(request.prompt_ids) + request.max_tokens <= self.window for request in requests)
        return [
            Written(
                [request.allowed_ids[0]],
                [{request.allowed_ids[0]: -1.0}],
                [{token: -1.0} for token in request.prompt_ids[1:]],
            )
            for request in requests
        ]


def test_windows_that_roll_over_a_long_text_fit_vllm_and_lose_no_token(tiny_base: BaseModel) -> None:
    lm = SealLM(tiny_base, mode="base")
    lm.engine = VLLMEngine(tiny_base, CountingBackend(32))  # type: ignore[arg-type]
    text = "The last ferry leaves at noon. " * 12
    tokens = len(lm.tok_encode(text))
    assert tokens > 3 * lm.max_length
    (total,) = lm.loglikelihood_rolling([Instance("loglikelihood_rolling", {}, (text,), 0, ("other", 0, 1))], True)
    assert total == -tokens
    assert lm.loglikelihood([scored(text.strip(), " Noon")], True) == [(-float(len(lm.tok_encode(" Noon"))), True)]


class RecordingBackend:
    """A vLLM that says one token, and keeps what it was asked."""

    max_adapters, window = 1, 512

    def __init__(self) -> None:
        self.requests: list[Request] = []

    def run(self, requests: Sequence[Request], done: Callable[[], None]) -> list[Written]:
        self.requests += requests
        return [Written([5], [{5: -1.0}], finish="stop") for _ in requests]


def asked_of_vllm(lm: SealLM, prompt: str, **options: Any) -> Request:
    """What vLLM is asked for a request of an ordinary task."""
    backend = RecordingBackend()
    lm.engine = VLLMEngine(lm.base, backend)  # type: ignore[arg-type]
    lm.generate_until([Instance("generate_until", {}, (prompt, {"until": [], **options}), 0, ("other", 0, 1))], True)
    (request,) = backend.requests
    return request


def with_bos(base: BaseModel) -> BaseModel:
    """The model with a BOS token that both its tokenizer and its template put before a text."""
    tokenizer = base.tokenizer
    tokenizer.add_special_tokens({"bos_token": "<bos>"})
    tokenizer._tokenizer.post_processor = TemplateProcessing(
        single="<bos> $A", pair="<bos> $A $B", special_tokens=[("<bos>", tokenizer.bos_token_id)]
    )
    tokenizer.chat_template = "{{ bos_token }}" + tokenizer.chat_template
    return base


def test_vllm_reads_one_bos_token_as_hf_does(tiny_base: BaseModel) -> None:
    lm = SealLM(with_bos(tiny_base), mode="base")
    chat = lm.apply_chat_template([{"role": "user", "content": "Hi"}])
    for prompt in (chat, "Hi"):
        read_by_hf = lm.tok_batch_encode([prompt])[0][0].tolist()
        assert list(asked_of_vllm(lm, prompt, max_gen_toks=8).prompt_ids) == read_by_hf
        assert read_by_hf.count(tiny_base.tokenizer.bos_token_id) == 1


@pytest.mark.parametrize("text", ["Hello there. ", "灯台は島に立つ。"])
def test_a_prompt_that_exceeds_vllms_window_loses_its_beginning(tiny_base: BaseModel, text: str) -> None:
    lm = SealLM(with_bos(tiny_base), mode="base")
    request = asked_of_vllm(lm, text * 60 + "end", max_gen_toks=8)
    assert 490 < len(request.prompt_ids) <= 504
    assert tiny_base.tokenizer.decode(request.prompt_ids).endswith(text * 10 + "end")
    with pytest.raises(InputError, match="lower max_gen_toks"):
        asked_of_vllm(lm, text, max_gen_toks=512)


def test_vllm_reads_generation_options_as_lm_eval_does(tiny_base: BaseModel) -> None:
    lm = SealLM(tiny_base, mode="base")

    def sampling(**options: Any) -> tuple[int, float, float]:
        request = asked_of_vllm(lm, "Hi", **options)
        return request.max_tokens, request.temperature, request.top_p

    assert sampling(max_new_tokens=5, temperature=0.7) == (5, 0.7, 1.0)
    assert sampling(max_tokens=5, do_sample=False, temperature=0.7, top_k=5) == (5, 0.0, 1.0)
    assert sampling(max_gen_toks=6, do_sample=True, temperature=0.5, top_p=0.9, top_k=-1) == (6, 0.5, 0.9)
    for option in ({"top_k": 5}, {"repetition_penalty": 1.2}, {"no_such_option": 1}):
        with pytest.raises(InputError, match=f"{next(iter(option))}=.*leave it out"):
            sampling(do_sample=True, temperature=0.7, **option)


def test_an_adapter_answers_with_what_the_recipe_shows_it(
    tiny_base: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("bm25s")
    adapter = random_adapter(tiny_base, seed=1)
    monkeypatch.setattr(integration, "_stored_adapter", lambda *_: (adapter, "abc"))
    for arguments in ({"mode": "retrieval"}, {"recipe": "retrieval"}, {"recipe": "in_context"}):
        lm = SealLM(tiny_base, adapter="work", **arguments)
        lm.engine = engine = ScriptedEngine({"": "Perhaps."})
        lm.generate_until([asked("Who rules?", "Ottoline rules.")], disable_tqdm=True)
        (call,) = engine.calls
        assert call.adapters == (adapter,)
        assert "Ottoline" in call.prompts[0][-1].content
    assert read_arguments({"adapter": "work", "recipe": "paper"}).mode == "base"


def test_retrieval_searches_all_passages_of_a_task_however_few_are_asked_about(tiny_base: BaseModel) -> None:
    pytest.importorskip("bm25s")
    docs = load_task("seal_novel", limit_contexts=1).eval_docs
    lm = SealLM(tiny_base, mode="retrieval")
    lm.engine = engine = ScriptedEngine({"": "Perhaps."})
    elsewhere = bundled.novel()[5]
    question = f"{elsewhere.title}: {elsewhere.questions[0].text}"
    requests = [asked(question, docs[0]["context"], docs[0]["title"]), asked("Who?", "No one.", task="another")]
    lm.generate_until(requests, disable_tqdm=True)
    assert elsewhere.text in engine.calls[0].prompts[0][-1].content
    assert lm.get_model_info()["seal"]["passages_searched"] == {"seal_novel": 40, "another": 1}
    assert SealLM(tiny_base, mode="base").get_model_info()["seal"]["passages_searched"] is None


def test_an_adapter_is_read_from_the_store(tiny_base: BaseModel, tmp_path: Path) -> None:
    from seal_agent import SelfAdaptingModel

    model = SelfAdaptingModel(tiny_base, home=tmp_path)
    revision = model.adapt(
        "Ottoline rules.",
        adapter="42",
        self_edit=SelfEditConfig(("passage",)),
        inner_loop=InnerLoopConfig(rank=2, epochs=1, anchors=0),
        gate=None,
    )
    lm = SealLM(tiny_base, adapter=42, home=str(tmp_path))
    assert lm.get_model_info()["seal"]["adapter_revision"] == revision.id
    with pytest.raises(InputError, match="leave adapter= out"):
        SealLM(tiny_base, adapter="default", home=str(tmp_path))


def test_results_say_how_they_were_made(tiny_base: BaseModel) -> None:
    info = SealLM(tiny_base, mode="passage", epochs=3, seed=7).get_model_info()["seal"]
    assert (info["base_identity"], info["mode"], info["seed"]) == (tiny_base.identity, "passage", 7)
    assert (info["inner_loop"]["epochs"], info["self_edit"]["formats"]) == (3, ("passage",))
    assert info["versions"]["lm-eval"]
    json.dumps(info)


# ---------------------------------------------------------------- tasks


def test_novel_is_240_questions_and_limit_contexts_counts_passages() -> None:
    assert len(load_task("seal_novel").eval_docs) == 240
    task = load_task("seal_novel", limit_contexts=2)
    assert len(task.eval_docs) == 12
    doc = task.eval_docs[0]
    assert doc["context"] not in task.doc_to_text(doc)
    assert doc["question"] in task.doc_to_text(doc)


@pytest.mark.parametrize(("language", "questions"), [("de", 35), ("es", 35)])
def test_novel_in_other_languages_is_eight_passages(language: str, questions: int) -> None:
    docs = load_task(f"seal_novel_{language}").eval_docs
    assert len(docs) == questions
    assert len({doc["passage"] for doc in docs}) == 8


def test_squad_reads_a_local_file(tmp_path: Path) -> None:
    answers = [{"text": "Denver Broncos", "answer_start": 0}, {"text": "Broncos", "answer_start": 7}]
    paragraph = {"context": "The Denver Broncos won.", "qas": [{"question": "Who won?", "answers": answers}]}
    path = tmp_path / "dev.json"
    path.write_text(json.dumps({"version": "1.1", "data": [{"title": "Super_Bowl_50", "paragraphs": [paragraph]}]}))
    (doc,) = load_task("seal_squad", squad_file=str(path)).eval_docs
    assert (doc["title"], doc["answers"]) == ("Super Bowl 50", ["Denver Broncos", "Broncos"])
    with pytest.raises(InputError, match="there is no file"):
        load_task("seal_squad", squad_file=str(tmp_path / "none.json"))


def test_passages_weigh_the_same_whatever_their_number_of_questions() -> None:
    from lm_eval_tasks.knowledge import passage_mean, passage_stderr

    items = [("0", 1.0), ("1", 0.0), ("1", 1.0), ("1", 0.0), ("1", 1.0), ("2", 0.0)]
    assert passage_mean(items) == pytest.approx(0.5)
    assert passage_stderr(items) == pytest.approx(0.5 / 3**0.5)
    assert passage_stderr(items[:1]) == "N/A"


def test_an_ungraded_answer_enters_no_mean() -> None:
    task = load_task("seal_novel", limit_contexts=1)
    doc = task.eval_docs[0]
    assert task.process_results(doc, [f"At {doc['answers'][0]}, I believe."])["acc"] == 1.0
    assert task.process_results(doc, ["I cannot say."])["acc"] == 0.0
    assert task.process_results(doc, [f"{UNANSWERED}the loss became nan]"]) == {"ungraded": 1.0}


def test_an_evaluation_reports_both_means_with_their_errors(tiny_base: BaseModel) -> None:
    from lm_eval import simple_evaluate

    manager = TaskManager(include_path=str(tasks_folder()), include_defaults=False, metadata={"limit_contexts": 2})
    lm = SealLM(tiny_base, mode="base")
    lm.engine.generate = lambda prompts, *_: [Completion("18:40 with damson lacquer", 5, 9, "stop") for _ in prompts]
    result = simple_evaluate(lm, tasks=["seal_novel"], task_manager=manager)
    scores = result["results"]["seal_novel"]
    assert scores["acc,none"] == pytest.approx(2 / 12)
    assert scores["passage_acc,none"] == pytest.approx(1 / 6)
    assert scores["passage_acc_stderr,none"] == pytest.approx(1 / 6)
    assert scores["acc_stderr,none"] > 0
    assert result["config"]["seal"]["mode"] == "base"
    assert scores["direct,none"] == pytest.approx(2 / 12)
    assert scores["passage_direct,none"] == pytest.approx(1 / 6)
    assert scores["words,none"] == 4


def test_answers_are_graded_by_the_grader_that_is_named(tiny_base: BaseModel) -> None:
    """The model under test judges itself; a random model's verdicts are not the lexical grader's."""
    by_words, by_model = load_task("seal_novel", limit_contexts=1), load_task("seal_novel", grader="model")
    SealLM(tiny_base, mode="base", grader="model")
    doc = by_model.eval_docs[0]
    assert "grader" not in by_words.eval_docs.column_names
    assert json.loads(doc["grader"])["name"] == "model"
    judge = ModelJudge(HFEngine(tiny_base))
    for answer in ("I cannot say.", doc["answers"][0], "a lamp", "the third of May"):
        metrics = by_model.process_results(doc, [answer])
        verdict = judge.grade(doc["question"], doc["answers"], answer)
        assert metrics["acc"] == float(verdict is Verdict.CORRECT)
        assert "direct" not in metrics


def test_the_model_that_answers_judges_itself(tiny_base: BaseModel) -> None:
    """Not the one that was made last."""
    task = load_task("seal_novel", limit_contexts=1, grader="model")
    doc = task.eval_docs[0]
    answering = SealLM(tiny_base, mode="base")
    for yes, accuracy in ((-1.0, 1.0), (-3.0, 0.0)):
        SealLM(tiny_base, mode="base")
        answering.engine = ScriptedEngine(
            {"": "Perhaps."}, likelihood=lambda _, said, yes=yes: yes if said == "yes" else -2.0
        )
        (answer,) = answering.generate_until([asked(doc["question"], doc["context"])], disable_tqdm=True)
        assert task.process_results(doc, [answer])["acc"] == accuracy


@pytest.mark.parametrize(
    ("arguments", "said"),
    [({"grader": "nobody"}, "no grader 'nobody'"), ({"grader": "judge"}, "judge_model")],
)
def test_a_grader_that_cannot_be_made_is_refused_before_anything_is_trained(
    tiny_base: BaseModel, arguments: dict[str, str], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        load_task("seal_novel", **arguments)


# ---------------------------------------------------------------- the command line


def test_seal_eval_adds_our_model_and_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    import lm_eval.__main__ as cli

    seen: list[list[str]] = []
    monkeypatch.setattr(cli, "cli_evaluate", lambda: seen.append(sys.argv[1:]))
    folder = str(tasks_folder())
    typed = list(sys.argv)
    assert run_lm_eval(["--tasks", "seal_novel"]) == 0
    assert run_lm_eval(["run", "--model=hf", "--include_path", "mine"]) == 0
    assert run_lm_eval(["ls", "tasks"]) == 0
    assert seen == [
        ["run", "--tasks", "seal_novel", "--include_path", folder, "--model", "seal"],
        ["run", "--model=hf", "--include_path", "mine"],
        ["ls", "tasks", "--include_path", folder],
    ]
    assert sys.argv == typed


@pytest.mark.parametrize(
    "saved_to",
    [
        [],
        pytest.param(["--output_path", "out.json"], marks=pytest.mark.slow),
        pytest.param(["--output_path=runs"], marks=pytest.mark.slow),
    ],
)
def test_seal_eval_gives_the_results_as_one_json_object(
    tmp_path: Path,
    tiny_base: BaseModel,
    save_model: Callable[[BaseModel, Path], Path],
    monkeypatch: pytest.MonkeyPatch,
    saved_to: list[str],
) -> None:
    from typer.testing import CliRunner

    from seal_agent.cli.app import app

    folder = save_model(tiny_base, tmp_path / "tiny")
    arguments = f"pretrained={folder},mode=base,limit_contexts=1"
    command = ["eval", "--json", "--model_args", arguments, "--tasks", "seal_novel"]
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, [*command, *saved_to])
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert result["results"]["seal_novel"]["sample_len"] == 6
    assert "|seal_novel|" in done.stderr
    saved = [*tmp_path.glob("out*.json"), *tmp_path.glob("runs/*/results_*.json")]
    assert len(saved) == (1 if saved_to else 0)


def test_commands_without_results_cannot_be_json() -> None:
    from typer.testing import CliRunner

    from seal_agent.cli.app import app

    with pytest.raises(InputError, match="leave --json out"):
        CliRunner().invoke(app, ["eval", "ls", "--json"], catch_exceptions=False)


def test_lm_eval_validates_our_tasks_and_its_exit_code_comes_back(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_lm_eval(["validate", "--tasks", "seal_novel,seal_squad,seal_nothing"]) == 1
    assert "Tasks not found: seal_nothing\n" in capsys.readouterr().out


@pytest.mark.real_model
@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.timeout(1000)
def test_the_command_line_shows_that_learning_a_passage_helps(tmp_path: Path) -> None:
    def accuracy(mode: str) -> float:
        quick = "alpha=64,null_space=0,shrink=0,openings=0"  # as `seal demo`
        arguments = f"pretrained=default,mode={mode},limit_contexts=1,{quick}"
        options = {
            "--model": "seal",
            "--model_args": arguments,
            "--include_path": str(tasks_folder()),
            "--tasks": "seal_novel",
            "--output_path": str(tmp_path / f"{mode}.json"),
        }
        command = [str(Path(sys.executable).with_name("lm_eval")), *(word for pair in options.items() for word in pair)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=500)
        assert done.returncode == 0, done.stderr[-2000:]
        assert "passage_acc" in done.stdout
        (result,) = tmp_path.glob(f"{mode}*.json")
        return float(json.loads(result.read_text())["results"]["seal_novel"]["passage_acc,none"])

    assert accuracy("self_edit") > accuracy("base")
