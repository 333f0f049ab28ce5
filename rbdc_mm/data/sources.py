"""Where other people's data comes from: a folder, an archive, or a download through torchvision."""

from __future__ import annotations

import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def unpacked(source: str | Path) -> Iterator[Path]:
    """The folder itself, or a temporary one with the archive's content (zip, tar, tar.gz ...).

    Raises:
        ValueError: it is neither, or damaged.
    """
    source = Path(source).expanduser()
    if source.is_dir():
        yield source
        return
    if not source.is_file():
        raise ValueError(f"--source {source} is not there (looked from {Path.cwd()})")
    with tempfile.TemporaryDirectory() as folder:
        try:
            if zipfile.is_zipfile(source):
                shutil.unpack_archive(source, folder, "zip")
            elif tarfile.is_tarfile(source):
                with tarfile.open(source) as archive:
                    archive.extractall(folder, filter="data")
            else:
                raise ValueError(f"--source {source} is no folder, no zip and no tar archive")
        except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError) as error:
            raise ValueError(
                f"--source {source} cannot be unpacked: {error}. Is it damaged, or cut off?"
            ) from error
        yield Path(folder)


def downloaded(url: str, folder: str | Path, md5: str | None = None) -> Path:
    """Downloads a file, unless it lies there whole.

    Raises:
        ValueError: there is no network, or another file.
    """
    from torchvision.datasets.utils import download_url

    path = Path(folder) / url.rpartition("/")[2]
    try:
        download_url(url, str(folder), path.name, md5)
    except (OSError, RuntimeError) as error:
        raise ValueError(
            f"{url} cannot be downloaded ({error}): give the file with --source PATH"
        ) from error
    return path
