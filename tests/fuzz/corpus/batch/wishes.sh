#!/bin/bash
#SBATCH --nodes=2 --gres=gpu:a100:4 --cpus-per-task=32 --mem=256G --constraint="nvlink&infiniband"
#SBATCH --exclude=node07 --exclusive
./run
