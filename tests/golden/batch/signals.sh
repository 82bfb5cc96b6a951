#!/bin/bash
#SBATCH --signal=B:USR1@120 --requeue --open-mode=append -G 1
trap 'echo soon' USR1
./run & wait
