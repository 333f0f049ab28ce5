#!/usr/bin/env bash
# Makes .venv with everything this project needs. Safe to run again at any time: a finished set-up
# is recognised in well under a second and without network, an interrupted one continues.
#
#   PYTHON=python3.12     the Python to make .venv with (default: the first of python3.11,
#                         python3.12, python3 that is 3.11 to 3.13)
#
# No compiler is needed: torchvision's kernels stand in for mmcv's compiled ops (rbdc_mm/ops).
set -euo pipefail
shopt -s inherit_errexit # an error inside $(...) is one, too

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
VENV="$ROOT/.venv"
PY="$VENV/bin/python"
STAMP="$VENV/.rbdc_mm_stamp"
CONSTRAINTS="$ROOT/constraints.txt"

say() { printf 'setup: %s\n' "$*"; }
die() { # one argument per line
    printf 'setup: error: %s\n' "$1" >&2
    shift
    [[ $# -eq 0 ]] || printf '       %s\n' "$@" >&2
    exit 1
}

pinned() { # NAME -> the version that constraints.txt pins
    local version
    version="$(sed -n "s/^$1==//p" "$CONSTRAINTS")"
    [[ -n "$version" ]] || die "constraints.txt has no line $1==VERSION; restore that line"
    printf '%s\n' "$version"
}

# --- the virtual environment -------------------------------------------------------------------

python_fits() { # the range for which all pinned packages have wheels
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1
}

pick_python() {
    local candidate
    for candidate in ${PYTHON:-python3.11 python3.12 python3}; do
        # run it: a name on PATH may be a version manager's empty shim
        if python_fits "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    die "no Python 3.11 to 3.13 found (tried: ${PYTHON:-python3.11 python3.12 python3})" \
        "Install one, or name it: PYTHON=/path/to/python3.11 make setup"
}

venv_intact() { # its Python runs, and its scripts point into it (not so once the checkout has moved)
    local bin
    python_fits "$PY" && [[ -f "$VENV/bin/pip" ]] || return 1
    bin="$(sed -nE "1,2s@^(#!|'''exec' \"?)(/.*)/python[0-9.]*.*@\2@p" "$VENV/bin/pip")"
    [[ -n "$bin" && "$bin" -ef "$VENV/bin" ]]
}

make_venv() {
    local python
    if venv_intact && "$PY" -m pip --version >/dev/null 2>&1; then
        say "[1/4] virtual environment: there, $("$PY" --version)"
        return
    fi
    if [[ -e "$VENV" && ! -f "$VENV/pyvenv.cfg" && -n "$(find "$VENV/" -type f -print -quit)" ]]; then
        die "$VENV is there but is no virtual environment; move it away and run this again"
    fi
    python="$(pick_python)"
    if [[ -e "$VENV" ]]; then
        say "[1/4] virtual environment: the one here is broken, unfinished or was moved; making it anew"
    fi
    say "[1/4] virtual environment with $("$python" --version): some 10 seconds"
    "$python" -m venv --clear "$VENV" ||
        die "$python could not make a virtual environment" \
            "On Debian and Ubuntu install the package python3-venv (python3.11-venv, ...)."
}

# --- is anything to do? ------------------------------------------------------------------------

stamp_hash() { # hash of all that the set-up depends on
    cat "$CONSTRAINTS" "$ROOT/pyproject.toml" "$ROOT/tools/setup_env.sh" | "$PY" -I -S -c '
import hashlib, sys
print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())'
}

up_to_date() { venv_intact && [[ -f "$STAMP" && "$(<"$STAMP")" == "$(stamp_hash)" ]]; }

# --- the steps ---------------------------------------------------------------------------------

project_requirements() { # one source for them: pyproject.toml
    "$PY" -I -c '
import sys, tomllib
with open(sys.argv[1], "rb") as file:
    project = tomllib.load(file)["project"]
extras = project["optional-dependencies"]
print(*project["dependencies"], *extras["openmmlab"], *extras["dev"], sep="\n")' "$ROOT/pyproject.toml"
}

install() { # pip install, with one word on what to do where it fails
    "$PY" -m pip install -q -c "$CONSTRAINTS" "$@" ||
        die "pip could not install the packages of this step; above is why" \
            "If it was the network or the disk: mend that and run this again, it goes on here."
}

check_families() { # the original OpenMMLab packages, installed by hand, would be overwritten
    "$PY" -c '
import sys
from rbdc_mm.doctor import check_families, format_table
result = check_families()
sys.exit(None if result.ok or "not installed" in result.detail else format_table([result]))' ||
        die "this environment cannot be completed; above is what to do"
}

install_ops() { # compiled ones that are there (make ops) are kept
    local kind
    kind="$("$PY" -c 'from rbdc_mm.ops.install import ops_state; print(ops_state().kind)')"
    if [[ "$kind" == compiled ]]; then
        say "    mmcv has compiled ops of its own: they are kept"
    else
        say "    $("$PY" -m rbdc_mm.ops install)"
    fi
}

lock() { # two at once (make test, make demo) would disturb each other
    local status=0
    exec 9<"$ROOT"
    flock -n -E 75 9 2>/dev/null || status=$? # other errors: a file system without locks, or no flock
    if [[ $status -eq 75 ]]; then
        say "another set-up of this checkout is at work; waiting for it"
        flock 9
    fi
}

prepare() { # what this script and the one that builds ops begin with
    exec </dev/null
    cd "$ROOT"
    # packages found through these would count as installed
    unset PYTHONPATH PYTHONHOME
    export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
    lock
}

main() {
    prepare
    if up_to_date; then
        say "up to date"
        return
    fi

    make_venv
    check_families
    rm -f "$STAMP"
    say "[2/4] torch $(pinned torch), torchvision $(pinned torchvision):" \
        "2 to 3 minutes for 4.7 GB, seconds where they are installed"
    install torch torchvision
    say "[3/4] the other packages: about a minute, seconds where they are installed"
    # From source and in pip's isolation, where its build finds no torch and leaves the ops out;
    # without pip's cache, which may hold a wheel with ops for another torch.
    install --no-deps --no-cache-dir --no-binary onedl-mmcv "onedl-mmcv==$(pinned onedl-mmcv)"
    project_requirements >"$VENV/.rbdc_mm_requirements.txt"
    install -r "$VENV/.rbdc_mm_requirements.txt"
    say "[4/4] this project, and whether everything loads: some 15 seconds"
    install --no-deps --no-build-isolation -e "$ROOT"
    install_ops
    "$PY" -c 'import mmcv.ops, rbdc_mm' ||
        die "the packages are installed but do not load; see above, and $PY tools/doctor.py" \
            "If you cannot tell why: rm -rf .venv && make setup"
    stamp_hash >"$STAMP.new"
    mv "$STAMP.new" "$STAMP"
    say "done in $SECONDS s"
}

# sourced by build_ops.sh and by the tests for its functions
if [[ "${BASH_SOURCE[0]}" == "$0" ]]; then main; fi
