#!/bin/sh
#SBATCH -a 1,3,5-7
#SBATCH --gpus=a100:1
./one
