#!/bin/bash
#SBATCH --ntasks=8 --gpus-per-task=1 --cpus-per-task=6 --mem-per-cpu=4G
ultra run -- ./run
