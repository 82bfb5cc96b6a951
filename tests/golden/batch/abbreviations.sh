#!/bin/bash
#SBATCH --job=x --ntasks-per-nod=2 --part=gpu --constrain=v100 --gpus-per-n=2
./run
