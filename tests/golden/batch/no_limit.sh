#!/bin/bash
#SBATCH --time=0 -G 1
./run
