#!/usr/bin/env bash
# Builds mmcv's own compiled ops and puts them into .venv, in place of torchvision's kernels. Rarely
# needed: for ops of mmcv that mmdet and mmpretrain do not use, or to compare. Built once, kept.
#
#   RBDC_MM_CACHE=DIR     where built mmcv wheels are kept (default: rbdc_mm in the user's cache folder)
#   RBDC_MM_CPU_OPS=1     build the ops for the CPU only, even where there is a GPU
#   MAX_JOBS=N            compilers at once (default: one per core, as far as memory allows)
source "$(dirname "${BASH_SOURCE[0]}")/setup_env.sh"

CACHE="${RBDC_MM_CACHE:-${XDG_CACHE_HOME:-${HOME:?set HOME or RBDC_MM_CACHE}/.cache}/rbdc_mm}"

num_cores() { nproc 2>/dev/null || getconf _NPROCESSORS_ONLN; }

ops_target() { # prints: target, torch's CUDA version, TORCH_CUDA_ARCH_LIST ("cpu - -" without CUDA)
    "$PY" -c '
import os, torch
if os.environ.get("RBDC_MM_CPU_OPS") == "1" or not torch.cuda.is_available():
    print("cpu - -")
else:
    count = torch.cuda.device_count()
    found = sorted({torch.cuda.get_device_capability(i) for i in range(count)})
    names = "".join(f"-sm{major}{minor}" for major, minor in found)
    archs = ";".join(f"{major}.{minor}" for major, minor in found)
    cuda = torch.version.cuda
    print("cu" + cuda.replace(".", "") + names, cuda, archs)'
}

wheel_key() { # TARGET -> all that a compiled mmcv depends on
    local mmcv
    mmcv="$(pinned onedl-mmcv)"
    "$PY" -c '
import platform, sys
from importlib.metadata import version
python = "cp%d%d" % sys.version_info[:2]
torch = version("torch").split("+")[0]
print(f"mmcv{sys.argv[1]}-torch{torch}-{python}-{platform.machine()}-{sys.argv[2]}")' \
        "$mmcv" "$1"
}

wheel_has_ops() { # its build leaves the ops out without an error when it does not find torch
    "$PY" -I -c '
import re, sys, zipfile
try:
    with zipfile.ZipFile(sys.argv[1]) as wheel:
        names = wheel.namelist()
        whole = wheel.testzip() is None
except (OSError, zipfile.BadZipFile):
    sys.exit(1)
sys.exit(not (whole and any(re.fullmatch(r"mmcv/_ext.*\.so", name) for name in names)))' "$1"
}

require_compiler() {
    local header
    command -v "${CXX:-c++}" >/dev/null ||
        die "mmcv's ops need a C++ compiler; ${CXX:-c++} is not there" \
            "Install g++ (on Debian and Ubuntu: the package build-essential)."
    header="$("$PY" -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h"
    [[ -f "$header" ]] ||
        die "mmcv's ops need Python's header files; $header is not there" \
            "On Debian and Ubuntu install the package python3-dev (python3.11-dev, ...)."
}

require_nvcc() { # CUDA_VERSION NVCC: one that fits torch, else stop
    local cuda="$1" nvcc="$2" found="none"
    if command -v "$nvcc" >/dev/null; then
        found="$("$nvcc" --version | sed -nE 's/.*release ([0-9.]+).*/\1/p')"
    fi
    [[ "${found%%.*}" == "${cuda%%.*}" ]] ||
        die "there is a GPU, but no nvcc to build mmcv's CUDA ops: found $found, wanted ${cuda%%.*}.x ($nvcc)" \
            "Install the CUDA toolkit $cuda (or set CUDA_HOME to one), or" \
            "build the ops for the CPU only: RBDC_MM_CPU_OPS=1 make ops"
}

num_jobs() { # a compiler on these files takes up to 2 GiB
    local jobs memory
    jobs="$(num_cores)"
    memory="$(awk '/^MemAvailable:/ {print int($2 / 2097152)}' /proc/meminfo 2>/dev/null || true)"
    if [[ -n "$memory" && "$memory" -lt "$jobs" ]]; then jobs="$((memory > 0 ? memory : 1))"; fi
    printf '%s\n' "${MAX_JOBS:-$jobs}"
}

heartbeat() { # LOG: a line every 30 seconds, as long as this script runs
    local start="$SECONDS" compiled tick
    while :; do
        for tick in {1..30}; do # short sleeps: none is left behind for long when we are stopped
            sleep 1
            kill -0 $$ 2>/dev/null || return 0
        done
        compiled="$(grep -oE '^ *\[[0-9]+/[0-9]+\]' "$1" | tail -n 1 || true)"
        say "    $((SECONDS - start)) s, files compiled: ${compiled:-none yet}"
    done
}

export_build_settings() { # TARGET CUDA ARCHS
    # torch looks for ninja on PATH; without it, it compiles one file at a time
    export PATH="$VENV/bin:$PATH"
    MAX_JOBS="$(num_jobs)"
    export MAX_JOBS
    if [[ "$1" == cpu ]]; then
        # mmcv's setup builds for CUDA whenever torch sees a GPU: hide them
        export FORCE_CUDA=0 CUDA_VISIBLE_DEVICES=
        return
    fi
    local cuda_home top headers
    cuda_home="$("$PY" -c 'from torch.utils.cpp_extension import CUDA_HOME; print(CUDA_HOME or "")')"
    cuda_home="${cuda_home:-/usr/local/cuda}"
    require_nvcc "$2" "$cuda_home/bin/nvcc"
    if [[ ! -e "$cuda_home/lib64/libcudart.so" ]]; then
        # an nvcc linked into another folder: torch takes that for the toolkit, and the last step,
        # linking, would fail; nvcc itself knows where it lives
        top="$("$cuda_home/bin/nvcc" -dryrun none.cu 2>&1 | sed -nE 's/^#\$ TOP=(.*)/\1/p' || true)"
        [[ ! -e "$top/lib64/libcudart.so" ]] || cuda_home="$(cd "$top" && pwd -P)"
    fi
    # cusparse.h and others, for a system whose CUDA came without; the compiler looks here last.
    headers="$("$PY" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/nvidia/cu${2%%.*}/include"
    # nvcc needs torch's -D__CUDA_NO_HALF_*: its builder, which mmcv's setup uses, adds them.
    export FORCE_CUDA=1 CUDA_HOME="$cuda_home" TORCH_CUDA_ARCH_LIST="$3"
    export CPATH="$headers${CPATH:+:$CPATH}"
}

build_wheel() ( # KEY TARGET CUDA ARCHS: into the cache, all or nothing; a subshell for its settings
    version="$(pinned onedl-mmcv)"
    minutes=40 # of one core, as measured; 36 more for the CUDA files of each kind of GPU
    build_dir=
    heartbeat_pid=
    stop() {
        [[ -z "$heartbeat_pid" ]] || kill "$heartbeat_pid" 2>/dev/null || true
        [[ -z "$build_dir" ]] || rm -rf "$build_dir"
    }
    trap stop EXIT
    log="$CACHE/logs/$1.log"
    require_compiler
    install ninja setuptools wheel packaging psutil
    export_build_settings "${@:2}"
    mkdir -p "$CACHE/wheels" "$CACHE/logs"
    find "$CACHE/wheels" -maxdepth 1 -name '.build-*' -mtime +1 -exec rm -rf {} + # left by a kill
    build_dir="$(mktemp -d "$CACHE/wheels/.build-XXXXXX")"
    [[ "$2" == cpu ]] || minutes=$((40 + 36 * $(wc -w <<<"${4//;/ }")))
    say "    building mmcv $version's ops for $2 from source: this once; 15 to 25 minutes on 2 cores" \
        "for the CPU, here about $(((minutes + MAX_JOBS - 1) / MAX_JOBS)) minutes with $MAX_JOBS at once"
    say "    log: $log"
    : >"$log"
    heartbeat "$log" 9>&- &
    heartbeat_pid=$!
    # without pip's cache, which knows a wheel by its source alone and not by torch
    if ! "$PY" -m pip wheel -v --no-cache-dir --no-build-isolation --no-deps --no-binary onedl-mmcv \
        -w "$build_dir/out" "onedl-mmcv==$version" >"$log" 2>&1; then
        tail -n 40 "$log" >&2
        die "building mmcv's ops failed; above the end of $log" "Run this again once that is mended."
    fi
    wheel="$(find "$build_dir/out" -name '*.whl')"
    wheel_has_ops "$wheel" ||
        die "the wheel built has no compiled ops (mmcv/_ext*.so); what its build said: $log"
    if [[ -z "$(cached_wheel "$1")" ]]; then # another checkout may have been faster
        rm -rf "${CACHE:?}/wheels/$1"
        mv -T "$build_dir/out" "$CACHE/wheels/$1"
    fi
    say "    built in $SECONDS s, and kept in $CACHE/wheels/$1"
)

cached_wheel() { # KEY -> path of a sound wheel in the cache, or nothing
    local wheel
    for wheel in "$CACHE/wheels/$1"/*.whl; do
        if [[ -f "$wheel" ]] && wheel_has_ops "$wheel"; then
            printf '%s\n' "$wheel"
            return
        fi
    done
}

wheel_is_installed() { # pip notes the hash of the file it installed from
    "$PY" -I -c '
import hashlib, json, sys
from importlib.metadata import PackageNotFoundError, distribution
try:
    origin = json.loads(distribution("onedl-mmcv").read_text("direct_url.json") or "{}")
except PackageNotFoundError:
    sys.exit(1)
with open(sys.argv[1], "rb") as file:
    wanted = hashlib.sha256(file.read()).hexdigest()
sys.exit(origin.get("archive_info", {}).get("hashes", {}).get("sha256") != wanted)' "$1"
}

main() {
    local fields target cuda archs key wheel
    prepare
    up_to_date || die "set up first: make setup (make ops does)"
    fields="$(ops_target)"
    read -r target cuda archs <<<"$fields"
    key="$(wheel_key "$target")"
    say "mmcv with compiled ops, $key"
    wheel="$(cached_wheel "$key")"
    if [[ -z "$wheel" ]]; then
        build_wheel "$key" "$target" "$cuda" "$archs"
        wheel="$(cached_wheel "$key")"
    fi
    if wheel_is_installed "$wheel"; then
        say "    installed already, from $wheel"
        return
    fi
    say "    installing $wheel: some 10 seconds"
    "$PY" -m rbdc_mm.ops uninstall >/dev/null
    install --no-deps --force-reinstall "$wheel"
    say "$("$PY" -m rbdc_mm.ops status)"
    say "done in $SECONDS s; back to torchvision's kernels: rm -rf .venv && make setup"
}

# sourced by the tests for its functions
if [[ "${BASH_SOURCE[0]}" == "$0" ]]; then main; fi
