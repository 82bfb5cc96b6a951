/* Speaks PMIx itself: fences over everybody and over the even ranks, and reads what a rank of another node published, without a collecting
   fence, so that it has to be fetched from there. */
#include <pmix.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(pmix_status_t status, const char* what) {
  if (status == PMIX_SUCCESS) return;
  fprintf(stderr, "%s: %s\n", what, PMIx_Error_string(status));
  exit(1);
}

static uint32_t read_number(const pmix_proc_t* self, uint32_t rank, const char* key) {
  pmix_proc_t other;
  PMIX_LOAD_PROCID(&other, self->nspace, rank);
  pmix_value_t* value = NULL;
  check(PMIx_Get(&other, key, NULL, 0, &value), key);
  const uint32_t number = value->data.uint32;
  PMIX_VALUE_RELEASE(value);
  return number;
}

int main(void) {
  pmix_proc_t self;
  check(PMIx_Init(&self, NULL, 0), "init");
  const uint32_t size = read_number(&self, PMIX_RANK_WILDCARD, PMIX_JOB_SIZE);

  pmix_value_t value;
  value.type = PMIX_UINT32;
  value.data.uint32 = 1000 + self.rank;
  check(PMIx_Put(PMIX_GLOBAL, "card", &value), "put");
  check(PMIx_Commit(), "commit");
  for (uint32_t i = 1; i <= 2; ++i) { /* the farthest two */
    const uint32_t rank = (self.rank + size / 2 + i) % size;
    const uint32_t number = read_number(&self, rank, "card");
    if (number != 1000 + rank) return 2;
  }

  if (self.rank % 2 == 0) {
    pmix_proc_t* const even = malloc((size + 1) / 2 * sizeof *even);
    size_t count = 0;
    for (uint32_t rank = 0; rank < size; rank += 2) {
      memset(&even[count], 0, sizeof *even);
      PMIX_LOAD_PROCID(&even[count], self.nspace, rank);
      ++count;
    }
    for (int turn = 0; turn < 3; ++turn) check(PMIx_Fence(even, count, NULL, 0), "fence of even ranks");
    free(even);
  }
  check(PMIx_Fence(NULL, 0, NULL, 0), "fence");
  printf("rank %u of %u done\n", self.rank, size);
  check(PMIx_Finalize(NULL, 0), "finalize");
  return 0;
}
