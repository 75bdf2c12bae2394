!> Interstellar gas cools: one cell, then many.
!>
!>     c='python -m surrogate config'
!>     gfortran $($c --fortran-source) advance.f90 $($c --libs) && ./a.out
program advance
  use, intrinsic :: iso_c_binding, only: c_double, c_int32_t, c_int64_t
  use surrogate
  implicit none

  integer, parameter :: n_state = 10, n_cell = 100000
  character(len=4), parameter :: names(n_state) = &
    ['H   ', 'H+  ', 'H-  ', 'H2  ', 'H2+ ', 'He  ', 'He+ ', 'He++', 'e-  ', 'T   ']
  real(c_double), parameter :: warm_gas(n_state) = [ & ! [cm^-3], neutral, 70 % H and 30 % He; [K]
    0.9_c_double, 0.1_c_double, 1e-6_c_double, 1e-3_c_double, 1e-6_c_double, 0.10738_c_double, 1e-6_c_double, &
    1e-6_c_double, 0.100003_c_double, 8000.0_c_double]
  real(c_double), parameter :: dt = 3.15576e12_c_double ! [s], 1e5 years

  type(surrogate_stepper) :: chemistry
  integer(c_int32_t) :: status
  integer(c_int64_t) :: stat(SURR_NSTAT), n_net, n_solved, n_untouched
  real(c_double) :: cell(n_state), q(n_state, n_cell), start, finish
  integer :: c, k

  ! Once: which model, what we have, how accurate.
  call check(surr_abi_check(SURR_ABI_MAJOR, SURR_ABI_MINOR))
  call chemistry%open('ism-molecular', rtol=0.1_c_double)
  do k = 1, n_state
    call chemistry%field(names(k), merge(SURR_Q_NUMBER_DENSITY, SURR_Q_TEMPERATURE, k < n_state))
  end do
  call check(chemistry%commit(n_cell))

  ! Many cells q(:, c), from 1 to 100 times as dense; the first of them also alone.
  do c = 1, n_cell
    q(:, c) = (1 + 99 * real(c - 1, c_double) / n_cell) * warm_gas
    q(n_state, c) = warm_gas(n_state)
  end do
  cell = q(:, 1)

  call cpu_time(start)
  call check(chemistry%step(cell, dt, status))
  call cpu_time(finish)
  print '(a,i0,a,f0.2,a,es10.4,a,f0.0,a)', 'one cell: status ', status, ', T = ', cell(n_state), ' K, n(H2) = ', &
    cell(4), ' cm^-3, ', 1e6 * (finish - start), ' us'
  call cpu_time(start)
  call check(chemistry%step(q, dt, stat=stat))
  call cpu_time(finish)
  n_net = stat(SURR_STAT_NET + 1)
  n_untouched = stat(SURR_STAT_UNTOUCHED + 1)
  n_solved = stat(SURR_STAT_CELLS + 1) - n_net - n_untouched
  print '(i0,a,f0.2,a,i0,a,i0,a,f0.1,a,i0,a)', n_cell, ' cells: ', 1e6 * (finish - start) / n_cell, ' us/cell; ', &
    n_net, ' by the net, ', n_solved, ' solved in ', &
    real(stat(SURR_STAT_STEPS + 1), c_double) / max(n_solved, 1_c_int64_t), ' steps each, ', n_untouched, ' untouched'
  if (abs(q(n_state, 1) - cell(n_state)) > 0) error stop 'a result depends on its neighbours'

contains

  !> Stops on an error; a host would hand the message to its own error handler.
  subroutine check(code)
    integer(c_int32_t), intent(in) :: code
    if (code >= 0) return
    print '(2a)', 'surrogate: ', trim(chemistry%message())
    error stop 1
  end subroutine
end program advance
