#!/bin/bash
#SBATCH --array=0-15%4
#SBATCH -G 1
#SBATCH --output=out/%A_%a.txt
python3 sweep.py --seed $SLURM_ARRAY_TASK_ID
