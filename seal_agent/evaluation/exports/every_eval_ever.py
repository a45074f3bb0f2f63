"""Results as Every Eval Ever has them (schema 0.3.0): one record with all means, and one line per answer.

The whole row travels as a string in `eval_library.additional_details`, so that nothing is lost.
"""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seal_agent.errors import InputError
from seal_agent.evaluation.files import write_atomically
from seal_agent.evaluation.results import Measure, Results, from_json, read_results, to_json
from seal_agent.evaluation.samples import Sample, read_samples
from seal_agent.evaluation.statistics import FEW
from seal_agent.evaluation.suites import SUITES
from seal_agent.outer_loop.report.interval import DRAWS
from seal_agent.types import Verdict, content_hash

EEE_SCHEMA = "0.3.0"
FOLDER = "every_eval_ever"
WHOLE_ROW = "seal_agent_results"
SHARES = ("contains", "direct", "is_answer", "exact_match", "cell_acc", "final", "just_after", "base", "guard_before",
          "guard_after", "changed_answers", "portability")  # fmt: skip
LOWER_IS_BETTER = ("words", "perplexity_ratio", "changed_answers")
LOWER_WORDS = frozenset(
    ("perplexity", "ppl", "bits", "loss", "nll", "entropy", "error", "errors", "wer", "cer", "ter", "mae", "mse",
     "rmse", "brier", "bias", "toxicity", "stereotype", "invalid")
)  # fmt: skip
"""Words in the names of lm-eval's metrics, which a row has without their direction, of which less is better."""
Json = dict[str, Any]


def write_every_eval_ever(path: Path) -> list[Path]:
    """Write the record, and one line per stored answer, below `every_eval_ever/data/` beside a results file.

    The folders and names are those that the format prescribes: benchmark/developer/model/uuid.json.
    """
    results = read_results(path)
    name = str(uuid.UUID(hex=content_hash(["every-eval-ever", results.id])[:32], version=4))
    place = f"data/{results.suite}/{model_id(results)}"
    folder = path.parent / FOLDER / place
    record = to_every_eval_ever(results)
    written = [folder / f"{name}.json"]
    if results.samples:
        samples = read_samples(path.with_name(results.samples.file), results.samples.sha256)
        rows = [_instance(record, results, sample) for sample in samples]
        data = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
        written.append(folder / f"{name}_samples.jsonl")
        write_atomically(written[1], data)
        record["detailed_evaluation_results"] = {
            "format": "jsonl",
            "file_path": f"{place}/{written[1].name}",
            "hash_algorithm": "sha256",
            "checksum": hashlib.sha256(data).hexdigest(),
            "total_rows": len(rows),
        }
    write_atomically(written[0], json.dumps(record, ensure_ascii=False, indent=1).encode() + b"\n")
    return written


def to_every_eval_ever(results: Results) -> Json:
    """The record, without the file of answers."""
    return {
        "schema_version": EEE_SCHEMA,
        "evaluation_id": f"{results.suite}/{model_id(results)}/{results.id}",
        "evaluation_timestamp": results.run.date,
        "retrieved_timestamp": str(int(time.time())),
        "source_metadata": {
            "source_name": "seal-agent",
            "source_type": "evaluation_run",
            "source_organization_name": "seal-agent",
            "evaluator_relationship": "third_party",
        },
        "eval_library": {
            "name": "lm_eval" if results.lm_eval_version else "seal-agent",
            "version": results.lm_eval_version or results.run.packages.get("seal-agent", "unknown"),
            "additional_details": {WHOLE_ROW: json.dumps(to_json(results), ensure_ascii=False)},
        },
        "model_info": _model_info(results),
        "evaluation_results": [_result(results, name, measure) for name, measure in results.measures.items()],
    }


def from_every_eval_ever(record: Json) -> Results:
    """The results that a record was made from. Raises InputError for a record of another program."""
    try:
        row = record["eval_library"]["additional_details"][WHOLE_ROW]
    except (KeyError, TypeError) as err:
        raise InputError("this record was not exported by seal-agent, so it holds no row of ours") from err
    return from_json(json.loads(row), "the exported row")


def model_id(results: Results) -> str:
    """The model's name as the hub writes it; names without an owner get "local"."""
    name = Path(results.model.name).name if results.model.name.startswith(("/", ".", "~")) else results.model.name
    return name if name.count("/") == 1 else f"local/{name.replace('/', '-')}"


def _model_info(results: Results) -> Json:
    model, recipe = results.model, results.recipe
    return {
        "name": model.name,
        "id": model_id(results),
        "inference_engine": {
            "name": {"hf": "transformers"}.get(model.engine, model.engine),
            "version": results.run.packages.get("transformers", "unknown"),
        },
        "additional_details": {
            "deployment_type": "self_deployed",
            "model_availability": "open_weights",
            "recipe": recipe.label,
            "recipe_settings": json.dumps(recipe.settings, sort_keys=True),
            "identity": model.identity,
        },
    }


def _result(results: Results, name: str, measure: Measure) -> Json:
    suite = SUITES[results.suite]
    share = name in SHARES
    return {
        "evaluation_result_id": f"{results.suite}.{name}",
        "evaluation_name": results.suite,
        "source_data": {
            "dataset_name": results.data.name,
            "source_type": "other",
            "additional_details": {"hash": results.data.hash, "questions": str(results.data.questions)},
        },
        "evaluation_timestamp": results.run.date,
        "metric_config": {
            "evaluation_description": suite.summary,
            "metric_id": f"seal_agent.{name}",
            "metric_name": name,
            "metric_unit": "proportion" if share else "number",
            "lower_is_better": lower_is_better(name),
            "score_type": "continuous",
            "min_score": 0.0 if share else "-Infinity",
            "max_score": 1.0 if share else "Infinity",
        },
        "score_details": {"score": measure.value, **_uncertainty(measure)},
        "generation_config": {
            "generation_args": {
                "temperature": 0.0,
                "max_tokens": int(results.recipe.settings.get("answer", {}).get("max_tokens", 64)),
                "execution_command": results.run.command,
            },
            "additional_details": {"prompt_hash": results.prompt_hash, "grader": results.grader},
        },
    }


def lower_is_better(name: str) -> bool:
    """Whether less of a measure is better; those of lm-eval's tasks are named "task.metric" or "task.metric.filter"."""
    _, dot, metric = name.partition(".")
    if not dot:
        return name in LOWER_IS_BETTER
    return not LOWER_WORDS.isdisjoint(metric.partition(".")[0].lower().split("_"))


def _uncertainty(measure: Measure) -> Json:
    if measure.low is None or measure.high is None or measure.stderr is None:
        return {}
    bootstrap = measure.count >= FEW
    return {
        "uncertainty": {
            "standard_error": {"value": measure.stderr, "method": "analytic"},
            "confidence_interval": {
                "lower": measure.low,
                "upper": measure.high,
                "confidence_level": 0.95,
                "method": "bootstrap" if bootstrap else "student_t",
            },
            "num_samples": measure.count,
            **({"num_bootstrap_samples": DRAWS} if bootstrap else {}),
        }
    }


def _instance(record: Json, results: Results, sample: Sample) -> Json:
    """One answer; one that could not be graded has score 0 and says so, as the format has no third value."""
    golds = list(sample.golds)
    correct = sample.verdict is Verdict.CORRECT
    digest = hashlib.sha256((sample.question + "".join(golds)).encode()).hexdigest()
    failed = sample.verdict is Verdict.UNGRADED
    return {
        "schema_version": EEE_SCHEMA,
        "evaluation_id": record["evaluation_id"],
        "model_id": model_id(results),
        "evaluation_name": results.suite,
        "evaluation_result_id": f"{results.suite}.{results.primary}",
        "sample_id": _sample_id(sample),
        "sample_hash": digest,
        "interaction_type": "single_turn",
        "input": {"raw": sample.question, "reference": golds},
        "output": {"raw": [sample.answer]},
        "answer_attribution": [
            {
                "turn_idx": 0,
                "source": "output.raw",
                "extracted_value": sample.answer,
                "extraction_method": results.grader,
                "is_terminal": True,
            }
        ],
        "evaluation": {"score": float(correct), "is_correct": correct},
        **({"error": "the answer could not be graded"} if failed else {}),
    }


def _sample_id(sample: Sample) -> str:
    parts: Sequence[object] = (sample.unit, sample.passage, sample.step, sample.seed, sample.question)
    return ":".join(str(part) for part in parts if part not in ("", None))
