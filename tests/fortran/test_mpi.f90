!> All ranks flush together, balanced or not, with a net or without: bit by bit what one rank computes with surr_step alone.
program test_mpi
  use, intrinsic :: iso_c_binding
  use checks, only: check, conclude
  use surrogate
  use surrogate_mpi
  implicit none

  interface
    subroutine start_mpi(comm, rank, n_rank) bind(c)
      import :: c_int32_t
      integer(c_int32_t), intent(out) :: comm, rank, n_rank
    end subroutine
    subroutine end_mpi() bind(c)
    end subroutine
  end interface

  integer, parameter :: n = 2000, n_step = 5
  real(c_double) :: start(4, n), alone(4, n), together(4, n)
  integer(c_int32_t) :: comm, rank, n_rank
  character(len=*), parameter :: models(2) = [character(len=10) :: 'toy.so', 'toy_net.so']
  integer :: first, last, c, m
  character(len=1024) :: directory

  call get_command_argument(1, directory)
  call start_mpi(comm, rank, n_rank)
  first = n * rank / n_rank + 1
  last = n * (rank + 1) / n_rank
  do c = 1, n ! densities, temperature, time step: the last tenth is hard, and does not get to equilibrium
    start(:, c) = [1e-3_c_double + 1e-6_c_double * c, 2e-3_c_double, 10.0_c_double, 1e3_c_double]
    if (c > 9 * n / 10) start(4, c) = 2e5_c_double
  end do
  do m = 1, size(models)
    alone = start
    call advance(trim(models(m)), 'step')
    call advance(trim(models(m)), 'world')
    call advance(trim(models(m)), 'node')
    call advance(trim(models(m)), 'off')
  end do
  call end_mpi()
  call conclude('Fortran and MPI')

contains

  !> Every cell on this rank alone, or those of all ranks together.
  subroutine advance(model, how)
    character(len=*), intent(in) :: model, how
    type(surrogate_stepper) :: chemistry
    type(c_ptr) :: balancer
    real(c_double) :: before, after, seconds(3)
    integer(c_int64_t) :: moved(3)
    integer :: step
    call chemistry%open(trim(directory) // '/' // model, rtol=1e-2_c_double)
    call chemistry%field('A', SURR_Q_STATE)
    call chemistry%field('B', SURR_Q_STATE)
    call chemistry%field('T', SURR_Q_STATE)
    call chemistry%field('', SURR_Q_DT)
    call check(chemistry%commit() == SURR_OK, 'commit')
    if (how == 'step') then
      do step = 1, n_step
        call check(chemistry%step(alone, 1.0_c_double) == SURR_OK, 'step')
      end do
      return
    end if
    call check(surr_mpi_create(comm, balancer) == SURR_OK, 'create')
    call check(surr_mpi_set_s(balancer, 'scope', 5_c_int32_t, how, len(how, c_int32_t)) == SURR_OK, 'scope')
    call check(surr_mpi_set_d(balancer, 'min_gain', 8_c_int32_t, 0.02_c_double) == SURR_OK, 'min_gain')
    together = start
    do step = 1, n_step
      call check(chemistry%queue(together(:, first:last), 1.0_c_double) == SURR_OK, 'queue')
      call check(surr_mpi_flush(balancer, chemistry%work, before, after, c_null_ptr) == SURR_OK, 'flush')
    end do
    call check(all(together(:, first:last) == alone(:, first:last)), model // ', ' // how // ': results are those of one rank')
    call check(surr_mpi_report(balancer, moved, seconds) == SURR_OK, 'report')
    if (n_rank > 1) then
      call check(before > 1.5_c_double, model // ', ' // how // ': uneven before')
      call check((how == 'off') .eqv. (after > 1.1_c_double), model // ', ' // how // ': even after')
    end if
    call check(surr_mpi_free(balancer) == SURR_OK, 'free')
  end subroutine
end program
