#!/bin/bash
#SBATCH --time=5:30 -G 1
./run
