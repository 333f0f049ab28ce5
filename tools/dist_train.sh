#!/usr/bin/env bash
# tools/dist_train.sh CONFIG GPUS [options of tools/train.py]
# From the environment: PORT (a free one), OMP_NUM_THREADS (the cores divided by GPUS), and on
# several nodes NNODES, NODE_RANK, MASTER_ADDR and PORT (29500), as in OpenMMLab.
set -eu
CONFIG=$1
GPUS=$2
root="$(cd "$(dirname "$0")/.." && pwd)"
PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}" \
exec "${PYTHON:-python}" "$root/tools/dist_run.py" "$GPUS" \
    "$root/tools/train.py" "$CONFIG" --launcher pytorch "${@:3}"
