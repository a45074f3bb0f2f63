"""Lets `lm_eval --model seal` find us on lm-eval releases that do not look for plug-ins.

Such a release knows only the models that `lm_eval.models` registers, and imports that module when the first
model is asked for. `hook.pth`, installed beside the packages, watches for this one import and calls
`spec_of_models`; an interpreter that never imports lm_eval pays for nothing else. SEAL_NO_LM_EVAL_HOOK=1 turns
it off. A later lm-eval discovers the entry-point group `lm_eval.models` instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

NAME = "seal"
TARGET = "seal_agent.integrations.lm_eval:SealLM"


def spec_of_models(path: Sequence[str] | None) -> ModuleSpec | None:
    """`lm_eval.models` as it is found anyway; once it has run, our name is in its registry too."""
    spec = PathFinder.find_spec("lm_eval.models", path)
    if spec is None or spec.loader is None:
        return spec
    run = spec.loader.exec_module

    def run_and_register(module: ModuleType) -> None:
        run(module)
        with suppress(Exception):  # whatever a later lm-eval changes, its own models must go on working
            register()

    spec.loader.exec_module = run_and_register  # type: ignore[method-assign]
    return spec


def register() -> None:
    """Add our model's name to lm-eval's registry, unless lm-eval loads plug-ins itself.

    As a string: the registry imports the class when it is asked for. Registering before `lm_eval.models` has
    run would hide lm-eval's own models, which it imports only while the registry is empty.
    """
    from lm_eval.api import registry

    models = registry.model_registry
    if not hasattr(registry, "load_plugins") and not hasattr(models, "load_plugins") and NAME not in models:
        models.register(NAME, target=TARGET)
