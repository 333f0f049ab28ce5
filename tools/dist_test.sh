#!/usr/bin/env bash
# tools/dist_test.sh CONFIG CHECKPOINT GPUS [options of tools/test.py]
# The environment as for tools/dist_train.sh.
set -eu
CONFIG=$1
CHECKPOINT=$2
GPUS=$3
root="$(cd "$(dirname "$0")/.." && pwd)"
PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}" \
exec "${PYTHON:-python}" "$root/tools/dist_run.py" "$GPUS" \
    "$root/tools/test.py" "$CONFIG" "$CHECKPOINT" --launcher pytorch "${@:4}"
