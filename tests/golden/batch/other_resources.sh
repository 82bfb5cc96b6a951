#!/bin/bash
#SBATCH --gres=gpu:v100:4,nvme:400 --tmp=100G
./run
