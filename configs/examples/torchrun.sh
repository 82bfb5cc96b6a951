#!/bin/bash
# As written for Slurm: one torchrun per node, which starts the node's ranks. (srun is `ultra run` here.)
#SBATCH --job-name=ddp
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=48
#SBATCH --time=1-00:00:00
#SBATCH --output=logs/%x-%j.out

head_node=$(hostname)
ultra run -- bash -c "torchrun --nnodes \$SLURM_NNODES --nproc-per-node 8 --node-rank \$SLURM_NODEID \
  --master-addr $head_node --master-port $((10000 + SLURM_JOB_ID % 10000)) train.py"
