#!/bin/bash
#SBATCH --nodelist=node[01-02] --gpus=8 --mem=0
./run
