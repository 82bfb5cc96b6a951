#!/bin/bash
#SBATCH -N 1

#SBATCH --time=1 day
./run
