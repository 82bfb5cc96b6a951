#!/bin/bash
#SBATCH -G 1 --mail-type=END,FAIL --mail-user=ada@example.org --comment=x --hint=nomultithread
#SBATCH --licenses=matlab:1 --reservation=class --nodelist=n[01-02] --exclude=n07 --nice=100 --wait-all-nodes=1
#SBATCH --cpus-per-gpu=8 --mem-per-gpu=32G --gpu-bind=closest --distribution=block:block --get-user-env --no-requeue
./run
