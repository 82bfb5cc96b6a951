#!/bin/bash
#SBATCH --nodes=2            # two machines
#SBATCH --gres=gpu:4#per node
#SBATCH --comment="not # a comment" # but this is
#SBATCH --time=30             # minutes
./run
