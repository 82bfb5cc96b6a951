#!/bin/bash
#SBATCH --output=$HOME/%j.out --mail-user=$USER@example.org -G 2
./run
