#!/usr/bin/env python3
#ULTRA --nodes 2 --gpus-per-node 4 --gpu-type H100 --name sweep
#ULTRA --array 0-3%2 --after 12,13:any --after 14:notok
#ULTRA --output runs/%A/%a.out --open-mode append --log-limit 100MiB
#ULTRA --ranks-per-node 4 --cpus-per-rank 12 --signal USR1@90 --strict-names --workdir runs
print('hello')
