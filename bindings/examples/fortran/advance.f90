!> Interstellar gas cools: one cell, then many.
!>
!>     c='python -m surrogate config'
!>     gfortran $($c --fortran-source) advance.f90 $($c --libs) && ./a.out
program advance
  use, intrinsic :: iso_c_binding
  use surrogate
  implicit none

  integer, parameter :: n_state = 10, n_cell = 100000
  character(len=4), parameter :: names(n_state) = &
    ['H   ', 'H+  ', 'H-  ', 'H2  ', 'H2+ ', 'He  ', 'He+ ', 'He++', 'e-  ', 'T   ']
  real(c_double), parameter :: warm_gas(n_state) = [ & ! [cm^-3], [K]
    1.0_c_double, 1e-2_c_double, 0.0_c_double, 1e-3_c_double, 0.0_c_double, 0.10846_c_double, 0.0_c_double, &
    0.0_c_double, 1e-2_c_double, 8000.0_c_double]
  real(c_double), parameter :: dt = 3.15576e12_c_double ! [s], 1e5 years

  type(c_ptr) :: model, plan, work
  integer(c_int32_t) :: slot, status, quantity
  integer(c_int64_t), target :: stat(SURR_NSTAT)
  real(c_double) :: cell(n_state)
  real(c_double), allocatable :: q(:, :)
  integer :: c, k

  ! Once: which model, what we have, how accurate.
  call check(surr_abi_check(SURR_ABI_MAJOR, SURR_ABI_MINOR))
  call check(surr_model_open('ism-molecular', 13, model))
  call check(surr_plan_create(model, plan))
  do k = 1, n_state
    quantity = merge(SURR_Q_NUMBER_DENSITY, SURR_Q_TEMPERATURE, k < n_state)
    call check(surr_plan_field(plan, names(k), len_trim(names(k), c_int32_t), quantity, 1.0_c_double, &
                               SURR_F_COMPACT, slot))
  end do
  call check(surr_plan_set_d(plan, 'rtol', 4, 1e-2_c_double))
  call check(surr_plan_commit(plan))
  call check(surr_work_create(plan, int(n_cell, c_int64_t), work))

  ! One cell.
  cell = warm_gas
  call check(surr_step_cell(plan, work, dt, cell, status))
  print '(a,i0,a,f0.2,a,es11.4,a)', 'one cell: status ', status, ', T = ', cell(n_state), ' K, n(H2) = ', cell(4), &
    ' cm^-3'

  ! Many cells, from 1 to 100 times as dense; q(:, c) is cell c.
  allocate (q(n_state, n_cell))
  do c = 1, n_cell
    q(:, c) = (1 + 99 * real(c - 1, c_double) / n_cell) * warm_gas
    q(n_state, c) = warm_gas(n_state)
  end do
  call check(surr_step_block(plan, work, int(n_cell, c_int64_t), dt, q, int(n_state, c_int64_t), 1_c_int64_t, &
                             c_null_ptr, c_null_ptr, c_loc(stat)))
  print '(i0,a,i0,a,i0,a,f0.1,a)', n_cell, ' cells: ', stat(1) - stat(7), ' advanced, ', stat(7), ' untouched, ', &
    real(stat(8)) / n_cell, ' solver steps per cell'
  if (abs(q(n_state, 1) - cell(n_state)) > 0) error stop 'a result depends on its neighbours'

  call check(surr_work_free(work))
  call check(surr_plan_free(plan))
  call check(surr_model_close(model))

contains

  !> Stops on an error; a host would hand the message to its own error handler.
  subroutine check(code)
    integer(c_int32_t), intent(in) :: code
    if (code >= 0) return
    print '(2a)', 'surrogate: ', trim(surr_error_text())
    error stop 1
  end subroutine
end program advance
