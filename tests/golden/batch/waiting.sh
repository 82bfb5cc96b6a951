#!/bin/bash
#SBATCH -G 1 --hold --begin=@1800000000 --deadline=@1800086400 --nice --reservation=class
#ULTRA --nice -5
./run
