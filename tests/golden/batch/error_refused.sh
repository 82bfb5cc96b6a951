#!/bin/bash
#SBATCH -G 1
#SBATCH --begin=now+1hour
./run
