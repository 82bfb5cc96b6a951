#!/bin/bash
#SBATCH --nodes=2 --gpus=7
./run
