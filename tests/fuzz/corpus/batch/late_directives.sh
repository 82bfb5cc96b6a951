#!/bin/bash
#SBATCH --gpus=2
module load cuda
#SBATCH --time=10
./run
