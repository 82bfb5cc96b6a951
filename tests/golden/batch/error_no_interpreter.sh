#SBATCH -N 1
./run
