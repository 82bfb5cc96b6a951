#!/bin/bash
#SBATCH --gpus-per-nodes=4
./run
