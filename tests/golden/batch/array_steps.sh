#!/bin/sh
#SBATCH --array=0-100:25
#SBATCH --gres=gpu
./one
