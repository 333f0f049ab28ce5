"""Makes the tables again whenever a run has gone on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from rbdc_mm.cost import format_flops
from rbdc_mm.report.collect import say
from rbdc_mm.report.read import find_records, read_record
from rbdc_mm.report.runs import HEADLINES, METRICS, ROWS

INTERRUPTED = 130  # what a shell reports of a command that Ctrl-C ended


def watch(
    make: Callable[[], object],
    paths: Iterable[str | Path],
    *,
    interval_s: float = 5.0,
    sleep: Callable[[float], object] = time.sleep,
) -> int:
    """Calls ``make`` and prints what it returns, at once and after every change, until Ctrl-C.

    A change is a run file that appeared, went, or has another size or time of writing. Every
    unfinished run with a change gets a line. Nothing there yet, a path that does not exist yet and
    whatever else ``make`` refuses by a ValueError (a baseline that has not finished, say) is said,
    and waited on.

    Args:
        make: makes everything, from ``paths``.
        paths: as ``collect`` takes them.
        interval_s: seconds between looks, more than 0.
        sleep: waits so many seconds.

    Returns:
        The exit code of an interrupted command, 130.
    """
    if not interval_s > 0:
        raise ValueError(f"--watch wants seconds between looks, more than 0, got {interval_s:g}")
    paths = [Path(path) for path in paths]
    known: dict[Path, tuple[int, int]] | str = {}
    try:
        while True:
            found = _stamps(paths)
            if found != known:
                before = known if isinstance(known, dict) else {}
                known = found
                if isinstance(found, str):
                    say(f"{_now()} waiting: {found}")
                else:
                    _refresh(make, [path for path in found if found[path] != before.get(path)])
            sleep(interval_s)
    except KeyboardInterrupt:
        say(f"{_now()} stopped watching")
        return INTERRUPTED


def progress_line(path: Path) -> str | None:
    """How far an unfinished run is; None for a finished one, or for a file that is broken.

    Broken ones are named by ``collect``.
    """
    try:
        record, ledger = read_record(path)
    except (OSError, ValueError):
        return None
    if record.finished:
        return None
    of = "" if record.planned is None else f" of {record.planned}"
    words = [f"{record.unit} {record.progress}{of}"]
    last = record.history[max(record.history, key=int)] if record.history else {}
    for column in HEADLINES.values():
        key, factor = METRICS[column]
        if key in last:
            words.append(f"{column} {last[key] * factor:.2f}")
    words.append(f"{format_flops(ledger.total, lower_bound=ledger.is_lower_bound)} in all")
    return f"  running: {record.name} ({path.parent}): {', '.join(words)}"


def _refresh(make: Callable[[], object], changed: Iterable[Path]) -> None:
    lines = [line for line in map(progress_line, changed) if line]
    try:
        made = make()
    except ValueError as error:
        lines.append(f"{_now()} not refreshed: {error}")
    else:
        print(made)
        lines.append(f"{_now()} refreshed")
    print("\n".join(lines), flush=True)


def _stamps(paths: Iterable[Path]) -> dict[Path, tuple[int, int]] | str:
    """Run file, or rows of an earlier aggregate -> its time of writing and size.

    Or why there is none yet.
    """
    files, others = [], []
    for path in paths:
        rows = path if path.name == ROWS else path / ROWS
        (files if rows.is_file() else others).append(rows if rows.is_file() else path)
    try:
        files += find_records(others) if others else []
    except ValueError as error:
        return str(error)
    stamps = {}
    for file in files:
        with suppress(FileNotFoundError):  # a work dir removed while we look
            stat = file.stat()
            stamps[file] = (stat.st_mtime_ns, stat.st_size)
    return stamps


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")
