#!/bin/bash
#SBATCH --job-name=mnist
#SBATCH --gres=gpu:1
#SBATCH --time=1:00:00
#SBATCH --mem=16G
#SBATCH --cpus-per-task=4

python3 mnist.py
