#!/bin/bash
# Sixteen settings, four at a time, on one GPU each: ultra submit sweep.sh; what comes after all of them: ultra submit --after JOB report.sh
#SBATCH --array=0-15%4 --gpus=1 --time=30
#SBATCH --output=sweep/%A/%a.out

rates=(1e-4 3e-4 1e-3 3e-3)
python3 train.py --rate "${rates[$((SLURM_ARRAY_TASK_ID % 4))]}" --seed $((SLURM_ARRAY_TASK_ID / 4))
