"""Registers the model `seal` with lm-eval releases that do not discover plug-ins.

Such a release knows only the models that `lm_eval.models` registers, and imports that module when the first model is
requested. `hook.pth`, installed in site-packages, watches for this one import and calls `spec_of_models`. A process
that never imports lm_eval pays nothing else. SEAL_NO_LM_EVAL_HOOK=1 turns the hook off; set while the package is
installed, it keeps the file out. Later lm-eval releases
discover the entry-point group `lm_eval.models` instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

NAME = "seal"
TARGET = "seal_agent.integrations.lm_eval:SealLM"


def spec_of_models(path: Sequence[str] | None) -> ModuleSpec | None:
    """The usual import spec of `lm_eval.models`, with a loader that registers our model after the module has run."""
    spec = PathFinder.find_spec("lm_eval.models", path)
    if spec is None or spec.loader is None:
        return spec
    exec_module = spec.loader.exec_module

    def exec_and_register(module: ModuleType) -> None:
        exec_module(module)
        with suppress(Exception):  # whatever a later lm-eval changes, its own models must keep working
            register()

    spec.loader.exec_module = exec_and_register  # type: ignore[method-assign]
    return spec


def register() -> None:
    """Add our model to lm-eval's registry, unless lm-eval loads plug-ins itself.

    The target is a string, so the registry imports the class only on use. Registering before `lm_eval.models` has
    run would hide lm-eval's own models, which it imports only while the registry is empty.
    """
    from lm_eval.api import registry

    models = registry.model_registry
    if not hasattr(registry, "load_plugins") and not hasattr(models, "load_plugins") and NAME not in models:
        models.register(NAME, target=TARGET)
