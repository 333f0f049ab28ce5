"""Centring of the residual stream: moves LayerNorm's mean to zero without changing the network."""

from __future__ import annotations

from torch import Tensor

from rbdc_mm.arch import ViTArch
from rbdc_mm.growth.engine import StateDict


def center_residual(arch: ViTArch, state: StateDict) -> dict[str, Tensor]:
    """Subtracts from every writer of the residual stream its mean over the embedding axis.

    Every reader of the stream is a LayerNorm, which removes that mean anyway, so the logits stay
    the same; in a coupling the cross term between the parents' means vanishes. With a layer scale
    the writer is the product gain * W, and that product is centred.

    Raises:
        ValueError: no final norm (the stream would be read without a LayerNorm), block norms, or a
            layer scale that is zero somewhere.
    """
    if not arch.final_norm:
        raise ValueError("center needs final_norm=True: without it the classifier reads the mean")
    if arch.norm_blocks:
        raise ValueError("center is for LayerNorm over all channels: BlockLayerNorm needs none")
    centred = dict(state)
    for key, rule in arch.rules().items():
        writes = [n for n, a in enumerate(rule.axes) if a.role == "out" and a.space == "residual"]
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
