"""The processor of a model that reads images: as transformers has it, without what only videos need."""

from __future__ import annotations

from typing import Any

from seal_agent.errors import MissingDependency, ModelError, first_line

_KINDS = ("image_processor", "tokenizer")


def load_processor(source: str, config: Any, tokenizer: Any, **options: Any) -> Any:
    """The processor of a folder or hub id. Raises ModelError where it has none.

    Pictures are resized with PIL on every machine, so that a picture is the same to the model everywhere.
    """
    from transformers import AutoImageProcessor, ProcessorMixin

    try:
        kind = _processor_class(config)
        images = AutoImageProcessor.from_pretrained(source, backend="pil", **options)
        settings, _ = kind.get_processor_dict(source)
        parts = {"image_processor": images, "tokenizer": tokenizer}
        processor = kind.from_args_and_dict([parts.get(name) for name in kind.get_attributes()], settings)
    except ImportError as err:
        raise MissingDependency(
            f"pictures need more packages ({first_line(err)}): pip install 'seal-agent[vision]'"
        ) from err
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as err:
        raise ModelError(
            f"{source} holds no processor for pictures ({first_line(err)}); add the model's processor files to it"
        ) from err
    if kind.replace_image_token is ProcessorMixin.replace_image_token:
        raise ModelError(f"the {kind.__name__} of {source} does not say what stands for a picture in a prompt")
    _fill_in(processor, config)
    return processor


def template_of(source: str) -> Any:
    """The chat template that a folder or hub id keeps with its processor; None where there is none.

    It needs no image processor: text is asked by the same template on machines without Pillow.
    """
    from transformers import ProcessorMixin

    try:
        settings, _ = ProcessorMixin.get_processor_dict(source)
    except (OSError, ValueError, KeyError):
        return None
    return settings.get("chat_template")


def _processor_class(config: Any) -> Any:
    """The family's processor, which takes nothing in place of a video processor: that would need torchvision."""
    from transformers.models.auto.processing_auto import PROCESSOR_MAPPING

    kind = PROCESSOR_MAPPING[type(config)]

    def accept(self: Any, name: str, argument: Any) -> Any:
        return type(argument)

    return type(kind.__name__, (kind,), {"check_argument_for_proper_class": accept, "__init__": kind.__init__})


def _fill_in(processor: Any, config: Any) -> None:
    """Older processors leave to the config how many tokens a picture has."""
    for name, value in (
        ("patch_size", getattr(config.vision_config, "patch_size", None)),
        ("vision_feature_select_strategy", getattr(config, "vision_feature_select_strategy", None)),
    ):
        if hasattr(processor, name) and getattr(processor, name) is None:
            setattr(processor, name, value)
