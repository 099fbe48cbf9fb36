"""Load a model's processor without what it needs for videos alone."""

from __future__ import annotations

import json
from importlib import import_module
from typing import Any

from bye_lint.models.resolve import ResolvedModel


def load_processor(resolved: ResolvedModel) -> Any:
    """Load the processor of a model.

    Many processors read videos too, which takes torchvision and other packages. Records hold
    images only, so the video part is left out, whether or not they are there: a folder may have
    been saved without it. A processor that needs torchvision for its images says so.
    """
    transformers: Any = import_module("transformers")
    options = {"trust_remote_code": resolved.allow_remote_code, "local_files_only": True}
    cls = _processor_class(resolved)
    if cls is None:
        return transformers.AutoProcessor.from_pretrained(resolved.path, **options)
    if "video_processor" in cls.get_attributes():
        cls = without_video(cls)
    return cls.from_pretrained(resolved.path, **options)


def _processor_class(resolved: ResolvedModel) -> Any:
    """Return the class that the folder names, or that belongs to its family."""
    auto: Any = import_module("transformers.models.auto.processing_auto")
    for file in ("processor_config.json", "preprocessor_config.json", "tokenizer_config.json"):
        path = resolved.path / file
        if path.is_file():
            config = json.loads(path.read_text(encoding="utf-8"))
            named = config.get("processor_class") if isinstance(config, dict) else None
            if named and (found := auto.processor_class_from_name(str(named))):
                return found
    return auto.processor_class_from_name(str(auto.PROCESSOR_MAPPING_NAMES.get(resolved.family)))


class _NoVideo:
    """Stands where a video processor would, for templates that ask for its settings."""

    def __getattr__(self, name: str) -> None:
        if name.startswith("_"):
            raise AttributeError(name)


def without_video(cls: Any) -> Any:
    """Return a processor class with nothing in the place of its video processor."""
    module = import_module(cls.__module__)
    if getattr(module, "num2words", True) is None:
        # SmolVLM spells out numbers of frames, and refuses to start where it could not.
        setattr(module, "num2words", str)  # noqa: B010

    class ImagesOnly(cls):  # type: ignore[misc]
        video_processor = _NoVideo()

        @classmethod
        def get_attributes(cls) -> list[str]:
            return [name for name in super().get_attributes() if name != "video_processor"]

        @classmethod
        def _get_arguments_from_pretrained(
            cls, path: Any, processor_dict: Any = None, **kwargs: Any
        ) -> list[Any]:
            parts = super()._get_arguments_from_pretrained(path, processor_dict, **kwargs)
            whole = super().get_attributes()
            parts.insert(whole.index("video_processor"), cls.video_processor)
            return list(parts)

    ImagesOnly.__name__ = cls.__name__
    return ImagesOnly
