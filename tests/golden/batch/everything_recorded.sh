#!/bin/bash
#SBATCH -G 1 --mail-type=END,FAIL --mail-user=ada@example.org --comment=x --hint=nomultithread
#SBATCH --licenses=matlab:1 --wait-all-nodes=1 --mincpus=8 --switches=1
#SBATCH --gpu-bind=closest --distribution=block:block --get-user-env --no-requeue
./run
