"""Make a data set: python tools/make_data.py NAME [--source PATH] [--out DIR].

Offline: digits, digit_scenes, captioned_scenes, fractals. Of a path: class_folders, shards, cifar,
penn_fudan (the last two are downloaded where no path is given); these print the config that trains
on them.

Made once; the same command again checks the files against their manifest and reuses them.
"""

import argparse
import sys

from rbdc_mm import data


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="name", required=True, metavar="NAME")

    def add(name: str, text: str, source: str = "", out: str = "", **options) -> None:
        command = commands.add_parser(
            name,
            help=text,
            description=text,
            formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        )
        command.add_argument("--out", default=out or f"data/{name}", help="directory to make")
        if source:
            needed = name in ("class_folders", "shards")
            command.add_argument("--source", required=needed, default="", help=source)
        if not source or needed:
            command.add_argument("--seed", type=int, default=0, help="of everything random")
        command.add_argument("--force", action="store_true", help="replace a made set there")
        command.add_argument("--preview", metavar="PNG", help="also draw a contact sheet")
        for option, (default, meaning) in options.items():
            flag = "--" + option.replace("_", "-")
            command.add_argument(flag, type=type(default), default=default, help=meaning)

    add(
        "digits",
        "scikit-learn's 1,797 handwritten digits as an ImageNet folder",
        size=(32, "side in pixels"),
    )
    add(
        "digit_scenes",
        "those digits over photographs, in COCO format with masks",
        num_train=(400, "scenes for training"),
        num_val=(100, "scenes held out"),
        size=(160, "side in pixels"),
        max_digits=(6, "digits per scene at most"),
        split_seed=(0, "seed of the digits data set whose split is kept"),
    )
    add(
        "captioned_scenes",
        "digits and shapes over photographs and patterns, with captions and a zero-shot test",
        num_train=(8000, "scenes for training"),
        num_val=(500, "scenes held out for retrieval"),
        per_class=(10, "scenes of each class of the zero-shot tests"),
        num_captions=(5, "captions of each scene"),
        size=(64, "side in pixels"),
        split_seed=(0, "seed of the digits data set whose split is kept"),
    )
    add(
        "fractals",
        "formula-driven classes (iterated function systems) as an ImageNet folder",
        num_classes=(20, "classes"),
        num_train=(100, "images per class for training"),
        num_val=(20, "images per class held out"),
        size=(64, "side in pixels"),
        min_filling_rate=(0.2, "accepted share of pixels hit, least"),
        max_filling_rate=(0.8, "accepted share of pixels hit, most"),
        workers=(1, "processes"),
    )
    add(
        "class_folders",
        "any folder of class folders as an ImageNet folder, split where it is not",
        source="folder or archive: a folder for each class, or such below train/ (and val/, test/)",
        val_share=(0.2, "share of every class that is held out, where nothing is yet"),
        per_class=(0, "images of each class to train on, drawn at random; 0 for all"),
    )
    add(
        "shards",
        "a set of class folders in WebDataset's shards, for file systems slow with many files",
        source="folder or archive: a folder for each class below train/ and val/",
        per_shard=(1000, "images in each shard"),
    )
    add(
        "cifar",
        "CIFAR-10's or CIFAR-100's pickled batches as an ImageNet folder",
        source="cifar-10-python.tar.gz, or what was in it (default: download CIFAR-10)",
        out="data/cifar10",
    )
    add(
        "penn_fudan",
        "170 photographs of pedestrians, in COCO format with masks",
        source="PennFudanPed.zip, or what was in it (default: download it)",
    )
    return parser.parse_args()


def main() -> int:
    options = vars(parse_args())
    name, preview = options.pop("name"), options.pop("preview")
    try:
        made = getattr(data, f"make_{name}")(**options)
        print(made)
        if "source" in options:
            print(f"\n{data.config_for(options['out'], made.num_images['train'])}")
        if preview:
            print(f"preview: {data.save_preview(made.root, preview)}")
    except ValueError as error:
        print(f"make_data.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
