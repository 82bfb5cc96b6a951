#!/bin/bash
#SBATCH --nodes=2 --ntasks=1 --gres=gpu:2
./run
