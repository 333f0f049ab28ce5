"""What a config costs to train: parameters, MACs, training FLOPs per sample, epoch and in all.

    python tools/get_flops.py CONFIG [--image-size H W] [--num-samples N] [--cfg-options k=v ...]

Counts on the meta device: no weights, data or GPU needed. FLOPs are 2 per multiply-add.
"""

from __future__ import annotations

import argparse
import sys

from mmengine.config import Config, DictAction

from rbdc_mm.config import read_config
from rbdc_mm.cost import CONVENTION, format_flops
from rbdc_mm.models.cost_of import image_size_of, model_cost


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("config", help="an mmpretrain classifier's or mmdet detector's config")
    parser.add_argument("--image-size", type=int, nargs="+", metavar="PIXELS", help="H W, or one")
    parser.add_argument("--num-samples", type=int, help="number of training samples")
    parser.add_argument("--cfg-options", nargs="+", action=DictAction, help="key=value overrides")
    return parser.parse_args(argv)


def num_samples_of(cfg: Config) -> int | None:
    """Training samples: counted on disk, else ``num_train_samples`` in the config, else None."""
    from rbdc_mm.data import DataLayoutError, DataMissingError, num_train_samples

    planned = cfg.get("num_train_samples")
    try:
        found = num_train_samples(cfg.train_dataloader.dataset)
    except DataMissingError:
        return planned
    except DataLayoutError as error:
        print(f"warning: the training data cannot be counted: {error}", file=sys.stderr)
        return planned
    except (ValueError, AttributeError):  # of a kind nobody can count, or none: the table says so
        return planned
    if planned not in (None, found):
        print(
            f"warning: num_train_samples={planned} in the config, but the training data set has "
            f"{found} samples an epoch, with which is counted here: set num_train_samples={found} "
            "(--num-samples counts with any other number)",
            file=sys.stderr,
        )
    return found


def schedule_rows(cfg: Config, train_flops: int, num_samples: int | None) -> list[tuple]:
    loop, loader = cfg.get("train_cfg") or {}, cfg.get("train_dataloader") or {}
    unknown = "unknown: give --num-samples"
    epoch = format_flops(train_flops * num_samples) if num_samples else unknown
    rows = [("training samples", num_samples or unknown), ("per epoch", epoch)]
    if loop.get("max_iters"):
        batch = (cfg.get("auto_scale_lr") or {}).get("base_batch_size") or loader["batch_size"]
        rows.append(("schedule", f"{loop.max_iters} iterations, global batch {batch}"))
        return [*rows, ("in all", format_flops(train_flops * loop.max_iters * batch))]
    epochs = loop.get("max_epochs")
    rows.append(("schedule", f"{epochs} epochs" if epochs else "unknown: no train_cfg.max_epochs"))
    total = format_flops(train_flops * num_samples * epochs) if num_samples and epochs else unknown
    return [*rows, ("in all", total)]


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    try:
        cfg = read_config(args.config)
        cfg.merge_from_dict(args.cfg_options or {})
        cfg.image_size = args.image_size or list(image_size_of(cfg))
        cost = model_cost(cfg)
        size = "{} x {}".format(*image_size_of(cfg))
        num_samples = args.num_samples or num_samples_of(cfg)
        schedule = schedule_rows(cfg, cost.train_flops, num_samples)
    except (ValueError, FileNotFoundError) as error:
        raise SystemExit(f"{args.config}: {error}") from None
    print(f"{args.config}: {cfg.model.type}, {size} pixels (height x width)")
    print(f"{'':18}{'params M':>10}{'trained M':>11}{'GMACs':>11}", end="")
    print("".join(f"{name + ' GFLOPs':>17}" for name in ("forward", "backward", "training")))
    for name, part in {**cost.parts, "per sample": cost}.items():
        millions = f"{part.num_params / 1e6:>10.3f}{part.num_trainable_params / 1e6:>11.3f}"
        flops = (part.forward_flops, part.backward_flops, part.train_flops)
        gflops = "".join(f"{value / 1e9:>17.3f}" for value in flops)
        print(f"{name:18}{millions}{part.macs_per_sample / 1e9:>11.3f}{gflops}")
    for name, value in schedule:
        print(f"{name:18}{value}")
    print(f"({CONVENTION}; GMACs: of the forward)")


if __name__ == "__main__":
    main()
