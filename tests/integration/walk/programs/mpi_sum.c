// Sums a vector of whole numbers over all ranks; the expected sum is known exactly.
#include <mpi.h>
#include <stdio.h>

int main(int argc, char **argv) {
  enum { count = 100003 };
  static double values[count];
  int rank, size, wrong = 0;
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  for (int i = 0; i < count; i++) values[i] = i % 1000 + rank;
  MPI_Allreduce(MPI_IN_PLACE, values, count, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
  for (int i = 0; i < count; i++) wrong += values[i] != (double)(i % 1000) * size + size * (size - 1) / 2;
  if (rank == 0) printf("sum over %d ranks is %s\n", size, wrong ? "wrong" : "exact");
  MPI_Finalize();
  return wrong != 0;
}
