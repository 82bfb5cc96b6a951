#!/bin/bash
#SBATCH -N 2 --exclusive --time=1-12
./run
