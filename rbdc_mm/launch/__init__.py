"""Running a DAG of jobs: on this machine, on SLURM."""
