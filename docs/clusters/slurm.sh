#!/bin/bash
# sbatch docs/clusters/slurm.sh: two machines of four GPUs. params.yaml: compute.devices 4, nodes 2, launcher none.
#SBATCH --job-name=treering --nodes=2 --ntasks-per-node=4 --gpus-per-node=4
#SBATCH --signal=INT@300            # Five minutes before the limit: training saves and ends.
set -e
export PATH=$PWD/.venv/bin:$PATH
srun --ntasks-per-node=1 dvc repro manifest  # Where machines share the disk, without srun.
srun python -m pipeline run train
dvc commit --force train && dvc repro
