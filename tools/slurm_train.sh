#!/usr/bin/env bash
# tools/slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [options of tools/train.py]
# GPUS, GPUS_PER_NODE, CPUS_PER_TASK and SRUN_ARGS from the environment, as in OpenMMLab; GRES=
# (empty) asks for no GPUs: the ranks then work on CPUs. OMP_NUM_THREADS is CPUS_PER_TASK.
set -eu
root="$(cd "$(dirname "$0")/.." && pwd)"
gres="${GRES-gpu:${GPUS_PER_NODE:-8}}"
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-${CPUS_PER_TASK:-5}}"
PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}" \
exec srun -p "$1" \
    --job-name="$2" \
    ${gres:+--gres="$gres"} \
    --ntasks="${GPUS:-8}" \
    --ntasks-per-node="${GPUS_PER_NODE:-8}" \
    --cpus-per-task="${CPUS_PER_TASK:-5}" \
    --kill-on-bad-exit=1 \
    ${SRUN_ARGS:-} \
    "${PYTHON:-python}" -u "$root/tools/train.py" "$3" --work-dir="$4" --launcher=slurm "${@:5}"
