#!/bin/bash
#PBS -l walltime=1:00:00
#SBATCH --time=1:00:00
#BSUB -W 60
#SBATCH -G 1
./run
