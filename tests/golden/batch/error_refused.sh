#!/bin/bash
#SBATCH -G 1
#SBATCH --input=data.txt
./run
