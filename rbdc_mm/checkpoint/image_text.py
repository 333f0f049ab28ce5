"""Which model configs are those of image-text models (see ``models/image_text.py``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rbdc_mm.config import unscoped

_NAME = "ImageTextPretrainer"


def is_image_text(model: Mapping[str, Any]) -> bool:
    """Whether a model config is that of our ImageTextPretrainer."""
    return unscoped(model.get("type", "")) == _NAME
