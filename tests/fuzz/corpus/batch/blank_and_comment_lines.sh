#!/bin/bash

# A comment.
   # Another.

##SBATCH --gpus=8
# SBATCH --gpus=4
#SBATCH --gpus=2

./run
