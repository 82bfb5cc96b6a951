#!/bin/bash
#SBATCH --tasks=4 --workdir=/data/run --share --cluster=here --gres=gpu:4
./run
