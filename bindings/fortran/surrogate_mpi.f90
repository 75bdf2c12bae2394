!> libsurrogate_mpi for Fortran 2003 and later, see surrogate_mpi.h: compile it after surrogate.f90, with your compiler.
!>
!>     code = surr_mpi_create(MPI_COMM_WORLD, balancer)      ! an integer; with mpi_f08: MPI_COMM_WORLD%MPI_VAL
!>     code = chemistry%queue(q(5:14, 1:nx, j), dt)          ! as often as this rank likes
!>     code = surr_mpi_flush(balancer, chemistry%work, before, after, c_null_ptr)   ! all ranks, every time step
module surrogate_mpi
  use, intrinsic :: iso_c_binding, only: c_char, c_double, c_int32_t, c_int64_t, c_ptr
  implicit none
  private
  ! >>> functions: written by bindings/generate.py, do not edit
  public :: surr_mpi_create, surr_mpi_set_s, surr_mpi_set_d, surr_mpi_flush, surr_mpi_report, surr_mpi_free
  ! <<< functions

  ! >>> interfaces: written by bindings/generate.py, do not edit
  interface
    function surr_mpi_create(fortran_comm, out) bind(c) result(code)
      import :: c_int32_t, c_ptr
      integer(c_int32_t), value :: fortran_comm
      type(c_ptr), intent(out) :: out
      integer(c_int32_t) :: code
    end function

    function surr_mpi_set_s(b, key, key_len, v, v_len) bind(c) result(code)
      import :: c_char, c_int32_t, c_ptr
      type(c_ptr), value :: b
      character(kind=c_char), intent(in) :: key(*)
      integer(c_int32_t), value :: key_len
      character(kind=c_char), intent(in) :: v(*)
      integer(c_int32_t), value :: v_len
      integer(c_int32_t) :: code
    end function

    function surr_mpi_set_d(b, key, key_len, v) bind(c) result(code)
      import :: c_char, c_double, c_int32_t, c_ptr
      type(c_ptr), value :: b
      character(kind=c_char), intent(in) :: key(*)
      integer(c_int32_t), value :: key_len
      real(c_double), value :: v
      integer(c_int32_t) :: code
    end function

    function surr_mpi_flush(b, w, imbalance_before, imbalance_after, stat) bind(c) result(code)
      import :: c_double, c_int32_t, c_ptr
      type(c_ptr), value :: b, w
      real(c_double), intent(out) :: imbalance_before, imbalance_after
      type(c_ptr), value :: stat
      integer(c_int32_t) :: code
    end function

    function surr_mpi_report(b, moved, seconds) bind(c) result(code)
      import :: c_double, c_int32_t, c_int64_t, c_ptr
      type(c_ptr), value :: b
      integer(c_int64_t), intent(out) :: moved(*)
      real(c_double), intent(out) :: seconds(*)
      integer(c_int32_t) :: code
    end function

    function surr_mpi_free(b) bind(c) result(code)
      import :: c_int32_t, c_ptr
      type(c_ptr), value :: b
      integer(c_int32_t) :: code
    end function
  end interface
  ! <<< interfaces
end module
