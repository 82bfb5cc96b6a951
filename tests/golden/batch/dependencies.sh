#!/bin/bash
#SBATCH --dependency=afterok:101:102,afterany:103,after:104 -G 1
./run
