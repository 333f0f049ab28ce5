"""Data: the sets made offline, and the checks of any set before training on it.

Names are looked up on first use: importing this package costs nothing.
"""

from importlib import import_module

_HOMES = {
    "make_digits": "digits",
    "load_digit_source": "digits",
    "make_digit_scenes": "digit_scenes",
    "make_fractals": "fractals",
    "save_preview": "preview",
    "Made": "store",
    "verify": "store",
    "DataLayoutError": "layout",
    "check_imagenet": "layout",
    "check_coco": "layout",
    "check_data": "dataset_cfg",
    "check_dataset_cfg": "dataset_cfg",
    "num_train_samples": "dataset_cfg",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
