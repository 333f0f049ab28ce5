"""Centring of the residual stream: moves LayerNorm's mean to zero without changing the network."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from rbdc_mm.arch import Arch


def mean_free_spaces(arch: Arch) -> set[str]:
    """The streams that LayerNorms alone read."""
    return {name for name, space in arch.spaces().items() if space.mean_free}


def center_stream(arch: Arch, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Subtracts from every writer of a mean-free stream its mean over the channels.

    Every reader of the stream is a LayerNorm, which removes that mean anyway, so the logits stay
    the same; in a coupling the cross term between the parents' means vanishes. With a layer scale
    the writer is the product gain * W, and that product is centred.

    Raises:
        ValueError: no such stream (a ViT without final norm or with block norms, a ResNet), or a
            layer scale that is zero somewhere.
    """
    spaces = mean_free_spaces(arch)
    if not spaces:
        raise ValueError(
            f"center wants a residual stream that only LayerNorms over all its channels read: "
            f"{arch} has none (a ViT needs one final norm, and no block norms); couple without "
            "center"
        )
    centred = dict(state)
    for key, rule in arch.rules().items():
        writes = [n for n, a in enumerate(rule.axes) if a.role == "out" and a.space in spaces]
        if rule.kind != "linear" or not writes:
            continue
        (axis,) = writes
        written = state[key]
        if rule.scaled_by is None:
            centred[key] = written - written.mean(axis, keepdim=True)
            continue
        gain = state[rule.scaled_by]
        if bool((gain == 0).any()):
            raise ValueError(
                f"center: layer scale {rule.scaled_by!r} is zero in "
                f"{int((gain == 0).sum())} of {gain.numel()} channels, so its product with {key!r} "
                "cannot be centred there; couple without center"
            )
        gain = gain.view([-1 if n == axis else 1 for n in range(written.dim())])
        centred[key] = written - (gain * written).mean(axis, keepdim=True) / gain
    return centred
