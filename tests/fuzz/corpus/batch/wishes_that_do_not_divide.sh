#!/bin/bash
#SBATCH --gpus=3 --ntasks=2 --cpus-per-task=4 --mem-per-cpu=1000M -C v100|a100
./run
