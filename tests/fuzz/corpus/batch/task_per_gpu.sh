#!/bin/bash -l
#SBATCH --nodes=4 --ntasks-per-node=8 --gres=gpu:h100:8
#SBATCH --exclusive
#SBATCH --partition=gpu,long --account=lab --qos=high
ultra run -- python3 train.py
