#!/bin/bash
#ULTRA --gpus 16 --time 90m --grace 2m --mpi pmix
#SBATCH --gres=gpu:4 --nodes=2 --time=10
./run
