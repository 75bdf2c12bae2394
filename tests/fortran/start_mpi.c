/* What test_mpi.f90 needs of MPI, so that it can be compiled where MPI has no Fortran. */
#include <mpi.h>
#include <stddef.h>
#include <stdint.h>

void start_mpi(int32_t *comm, int32_t *rank, int32_t *n_rank)
{
    MPI_Init(NULL, NULL);
    *comm = MPI_Comm_c2f(MPI_COMM_WORLD);
    MPI_Comm_rank(MPI_COMM_WORLD, rank);
    MPI_Comm_size(MPI_COMM_WORLD, n_rank);
}

void end_mpi(void) { MPI_Finalize(); }
