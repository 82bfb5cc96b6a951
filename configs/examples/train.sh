#!/bin/bash
# A training job on two nodes: ultra submit train.sh --steps 300
# The script runs once, on the first node; `ultra run` starts one rank per GPU on all of them.
#ULTRA --name train --nodes 2 --gpus-per-node 8 --time 2h
#ULTRA --output runs/%x-%j.out --signal USR1@120

echo "job $ULTRA_JOB_ID on $SLURM_JOB_NODELIST"
ultra run -- ultra-train "$@"
