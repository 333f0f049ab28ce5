#!/usr/bin/env python
"""What a protocol will do: its stages with epochs and FLOPs, and its tree; nothing is trained.

python tools/plan.py CONFIG [--suggest [--budget 0.5]] [--png FILE] [--cfg-options k=v ...]
python tools/plan.py CONFIG --gpus 8 --throughput DeiT-Ti=2290 DeiT-S=1052 DeiT-B=390.5
python tools/plan.py CONFIG --gpus 8 --records work_dirs     # as fast as earlier runs were
"""

from __future__ import annotations

import argparse
import logging
import sys

from mmengine import Config, DictAction

from rbdc_mm.config import read_config
from rbdc_mm.protocol import make_plan
from rbdc_mm.protocol.hours import Machine, hours_of
from rbdc_mm.protocol.launch import apply_options
from rbdc_mm.protocol.plan_table import table_of
from rbdc_mm.protocol.run import num_samples_of
from rbdc_mm.protocol.suggest import suggest
from rbdc_mm.report.hours import measured_rates
from rbdc_mm.show.hours_text import hours_text
from rbdc_mm.show.plan_picture import save_plan_picture
from rbdc_mm.show.plan_text import tree_text


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", help="config file with a protocol, such as configs/rbdc/*.py")
    parser.add_argument("--png", metavar="FILE", help="also draw the tree (.png, .svg or .pdf)")
    parser.add_argument(
        "--suggest",
        action="store_true",
        help="propose a CoM-PT chain for the config's target; the config needs no protocol",
    )
    parser.add_argument(
        "--budget",
        type=float,
        help="with --suggest: the chain's FLOPs as a fraction of training the target alone",
    )
    hours = parser.add_argument_group("hours", "what the plan takes on some GPUs (or cores)")
    hours.add_argument("--gpus", type=int, metavar="N", help="GPUs, or cores, in all")
    hours.add_argument(
        "--throughput", nargs="+", default=[], metavar="MODEL=IMG_PER_S",
        help="training images/s of one GPU, by the model's name in the plan",
    )  # fmt: skip
    hours.add_argument(
        "--records", nargs="+", default=[], metavar="PATH", help="or that of finished runs there"
    )
    hours.add_argument(
        "--batch", type=int, metavar="N",
        help="global batch (default: auto_scale_lr.base_batch_size, else the loader's)",
    )  # fmt: skip
    hours.add_argument(
        "--least-batch", type=int, default=32, metavar="N", help="images worth a GPU (default: 32)"
    )
    hours.add_argument(
        "--gpus-per-node", type=int, default=8, metavar="N",
        help="beyond these, 2%% of the speed is lost per doubling (default: 8)",
    )  # fmt: skip
    hours.add_argument(
        "--overhead", type=float, default=0.0, metavar="S",
        help="seconds of start-up and evaluation of each stage (default: 0)",
    )  # fmt: skip
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=DictAction,
        help="override settings of the config: key=value pairs, nested keys with dots",
    )
    return parser.parse_args(argv)


def _machine(args: argparse.Namespace, cfg: Config) -> Machine:
    """The GPUs of the arguments; a given throughput goes before a measured one."""
    rates = measured_rates(args.records) if args.records else {}
    for pair in args.throughput:
        model, _, rate = pair.rpartition("=")
        try:
            rates[model] = float(rate)
        except ValueError:
            raise ValueError(f"--throughput {pair!r}: wanted MODEL=IMAGES_PER_S") from None
    scaled = cfg.get("auto_scale_lr") or {}
    batch = args.batch or scaled.get("base_batch_size") or cfg.train_dataloader.batch_size
    return Machine(
        args.gpus, rates, batch, args.least_batch, args.gpus_per_node, args.overhead
    )  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    logging.disable(logging.INFO)  # the models' builders log what they are given
    try:
        cfg = apply_options(
            read_config(args.config), config_path=args.config, cfg_options=args.cfg_options
        )
        if args.budget is not None and not args.suggest:
            raise ValueError(f"--budget {args.budget} is for --suggest: a protocol has its own")
        if args.suggest:
            found = suggest(cfg, num_samples_of(cfg), args.budget)
            plan = found.plan
            print(found.rule, table_of(plan), tree_text(plan), found.snippet(), sep="\n\n")
        elif "protocol" not in cfg:
            raise ValueError(
                f"{args.config} has no protocol, thus nothing to plan: wanted a config with "
                "protocol=dict(type='RBDC', ...); tools/get_flops.py tells what a plain one costs"
            )
        else:
            plan = make_plan(cfg)
            print(table_of(plan), tree_text(plan), sep="\n\n")
        if args.gpus is not None:
            machine = _machine(args, cfg)
            print("", hours_text(hours_of(plan, machine), machine), sep="\n")
        elif args.throughput or args.records:
            raise ValueError("--throughput and --records go with --gpus N")
        if args.png:
            print(f"\npicture: {save_plan_picture(plan, args.png)}")
    except (ValueError, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
