!> The parts of MPI and of libsurrogate_mpi that hydro.f90 uses, for one rank: compile it in place of both,
!> after surrogate.f90.
module mpi
  use, intrinsic :: iso_c_binding, only: dp => c_double
  use, intrinsic :: iso_fortran_env, only: int64
  implicit none
  integer, parameter :: MPI_COMM_WORLD = 0, MPI_DOUBLE_PRECISION = 0, MPI_SUM = 1, MPI_MAX = 2, MPI_STATUS_SIZE = 1

contains

  subroutine MPI_Init(ierr)
    integer, intent(out) :: ierr
    ierr = 0
  end subroutine

  subroutine MPI_Finalize(ierr)
    integer, intent(out) :: ierr
    ierr = 0
  end subroutine

  subroutine MPI_Comm_rank(comm, rank, ierr)
    integer, intent(in) :: comm
    integer, intent(out) :: rank, ierr
    rank = comm
    ierr = 0
  end subroutine

  subroutine MPI_Comm_size(comm, n_ranks, ierr)
    integer, intent(in) :: comm
    integer, intent(out) :: n_ranks, ierr
    n_ranks = comm + 1
    ierr = 0
  end subroutine

  subroutine MPI_Sendrecv(send, n, type, to, tag, receive, n_receive, type_receive, from, tag_receive, comm, status, &
                          ierr)
    real(dp), intent(in) :: send(*)
    real(dp), intent(inout) :: receive(*)
    integer, intent(in) :: n, type, to, tag, n_receive, type_receive, from, tag_receive, comm
    integer, intent(out) :: status(MPI_STATUS_SIZE), ierr
    receive(:n) = send(:n)
    status = 0
    ierr = 0
  end subroutine

  subroutine MPI_Allreduce(send, receive, n, type, operation, comm, ierr)
    real(dp), intent(in) :: send(*)
    real(dp), intent(inout) :: receive(*)
    integer, intent(in) :: n, type, operation, comm
    integer, intent(out) :: ierr
    receive(:n) = send(:n)
    ierr = 0
  end subroutine

  subroutine MPI_Gather(send, n, type, receive, n_receive, type_receive, root, comm, ierr)
    real(dp), intent(in) :: send(*)
    real(dp), intent(inout) :: receive(*)
    integer, intent(in) :: n, type, n_receive, type_receive, root, comm
    integer, intent(out) :: ierr
    receive(:n) = send(:n)
    ierr = 0
  end subroutine

  function MPI_Wtime() result(seconds)
    real(dp) :: seconds
    integer(int64) :: count, rate
    call system_clock(count, rate)
    seconds = real(count, dp) / real(rate, dp)
  end function
end module mpi

module surrogate_mpi
  use, intrinsic :: iso_c_binding, only: c_double, c_int32_t, c_null_ptr, c_ptr
  use surrogate, only: surr_flush
  implicit none
  private
  public :: surr_mpi_create, surr_mpi_flush

contains

  function surr_mpi_create(comm, out) result(code)
    integer, intent(in) :: comm
    type(c_ptr), intent(out) :: out
    integer(c_int32_t) :: code
    out = c_null_ptr
    code = comm
  end function

  function surr_mpi_flush(balancer, work, before, after, stat) result(code)
    type(c_ptr), intent(in) :: balancer, work, stat
    real(c_double), intent(out) :: before, after
    integer(c_int32_t) :: code
    before = 1
    after = 1
    code = surr_flush(work, stat)
  end function
end module surrogate_mpi
