/* An MPI program that knows nothing of its launcher: mpi_rank reduce | abort RANK | leave RANK. */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int count, char** arguments) {
  MPI_Init(&count, &arguments);
  int rank, size;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  if (strcmp(arguments[1], "abort") == 0) {
    if (rank == atoi(arguments[2])) {
      fprintf(stderr, "the loss is not a number\n");
      MPI_Abort(MPI_COMM_WORLD, 42);
    }
    MPI_Barrier(MPI_COMM_WORLD); /* never ends */
  }
  if (strcmp(arguments[1], "leave") == 0) {
    if (rank == atoi(arguments[2])) exit(0);
    MPI_Barrier(MPI_COMM_WORLD); /* never ends */
  }
  enum { elements = 1 << 16 };
  float* const values = malloc(elements * sizeof *values);
  for (int i = 0; i < elements; ++i) values[i] = (float)(rank + 1 + i % 3);
  MPI_Allreduce(MPI_IN_PLACE, values, elements, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
  int wrong = 0;
  for (int i = 0; i < elements; ++i) wrong += values[i] != (float)(size * (size + 1) / 2 + size * (i % 3));
  MPI_Comm half;
  MPI_Comm_split(MPI_COMM_WORLD, rank % 2, rank, &half);
  int in_half = 0, one = 1;
  MPI_Allreduce(&one, &in_half, 1, MPI_INT, MPI_SUM, half);
  MPI_Comm_free(&half);
  printf("rank %d of %d wrong %d half %d\n", rank, size, wrong, in_half);
  MPI_Finalize();
  return wrong != 0;
}
