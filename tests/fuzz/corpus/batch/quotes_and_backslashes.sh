#!/bin/bash
#SBATCH --job-name="my long name" --output='with blank/%j.out'
#SBATCH --error=with\ blank/%j.err -G1
./run
