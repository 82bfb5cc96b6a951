#!/bin/bash
#SBATCH -J ddp
#SBATCH -N 2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH -c 48
#SBATCH -t 2-00:00:00
#SBATCH -o logs/%x-%j.out
#SBATCH -e logs/%x-%j.err

export MASTER_ADDR=$(hostname)
ultra run --ranks-per-node 1 -- torchrun --nnodes $SLURM_NNODES train.py
