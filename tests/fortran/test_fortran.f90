!> The Fortran module: every function is called once, with a host that traps floating-point exceptions.
program test_fortran
  use, intrinsic :: iso_c_binding
  use, intrinsic :: ieee_arithmetic, only: ieee_value, ieee_quiet_nan
  use surrogate
  implicit none

  integer, parameter :: n = 200
  integer(c_int64_t), parameter :: n_cell = n, n_listed = n / 2
  real(c_double), parameter :: dt = 300.0_c_double
  integer :: n_failures = 0
  type(c_ptr) :: model, plan, work
  character(len=1024) :: directory

  call get_command_argument(1, directory)
  call test_model()
  call test_layouts()
  call test_errors()
  if (n_failures > 0) error stop 'Fortran module: FAILED'
  print '(a)', 'Fortran module: passed'

contains

  subroutine check(condition, what)
    logical, intent(in) :: condition
    character(len=*), intent(in) :: what
    if (condition) return
    n_failures = n_failures + 1
    print '(4a)', 'not true: ', what, '; last error: ', trim(surr_error_text())
  end subroutine

  subroutine test_model()
    integer(c_int32_t) :: n_state, n_param, is_param
    real(c_double) :: error, lower, upper, val, f(3)
    character(len=8) :: name, unit
    integer(c_int64_t) :: needed
    character(kind=c_char), target :: json(256)
    character(len=:), allocatable :: path

    path = trim(directory) // '/toy.so'
    call check(surr_abi_check(SURR_ABI_MAJOR, SURR_ABI_MINOR) == SURR_OK, 'abi')
    call check(index(surr_version_text(), '.') > 1, 'version')
    call check(surr_status_text(SURR_CELL_FAILED) == 'failed', 'status name')
    call check(surr_model_open(path, len(path, c_int32_t), model) == SURR_OK, 'open')
    call check(surr_model_selftest(model, error) == SURR_OK .and. error < 1e-12_c_double, 'selftest')
    call check(surr_model_evaluate(model, 1_c_int64_t, [1.0_c_double, 3.0_c_double, 100.0_c_double], &
                                   [1e-3_c_double, 5e-4_c_double], f, c_null_ptr) == SURR_OK, 'evaluate')
    call check(abs(f(1) + 5e-3_c_double) < 1e-15_c_double, 'right-hand side')
    call check(surr_model_count(model, n_state, n_param) == SURR_OK, 'count')
    call check(n_state == 3 .and. n_param == 2, 'counts')
    call check(surr_model_field(model, 2, name, 8, unit, 8, lower, upper, val, is_param) == SURR_OK, 'field')
    call check(name(1:1) == 'T' .and. unit(1:1) == 'K' .and. is_param == 0, 'field of T')
    call check(surr_model_dt_range(model, lower, upper) == SURR_OK .and. upper > lower, 'dt range')
    call check(surr_model_info(model, c_loc(json), size(json, kind=c_int64_t), needed) == SURR_OK, 'info')
    call check(json(1) == '{' .and. needed > 2, 'json')
  end subroutine

  !> Cells as q(:, cell), and as columns visited through a list of cell numbers from 1: the same bits.
  subroutine test_layouts()
    real(c_double) :: block(3, n), one(3), seconds(SURR_NPHASE)
    real(c_double), target :: column(n, 3)
    integer(c_int32_t), target :: list(n_listed)
    integer(c_int8_t), target :: status(n)
    integer(c_int64_t), target :: stat(SURR_NSTAT)
    type(c_ptr) :: base(3)
    integer(c_int32_t) :: slot, cell_status
    integer :: i

    call check(surr_plan_create(model, plan) == SURR_OK, 'plan')
    call check(surr_plan_units(plan, 1.0_c_double, 1.0_c_double, 1.0_c_double) == SURR_OK, 'units')
    call check(surr_plan_field(plan, 'A', 1, SURR_Q_NUMBER_DENSITY, 1.0_c_double, SURR_F_INDEXED, slot) == SURR_OK, 'A')
    call check(surr_plan_field(plan, 'B', 1, SURR_Q_NUMBER_DENSITY, 1.0_c_double, SURR_F_INDEXED, slot) == SURR_OK, 'B')
    call check(surr_plan_field(plan, 'T', 1, SURR_Q_TEMPERATURE, 1.0_c_double, SURR_F_INDEXED, slot) == SURR_OK, 'T')
    call check(slot == 2, 'slots count from 0')
    call check(surr_plan_set_d(plan, 'rtol', 4, 1.0e-2_c_double) == SURR_OK, 'rtol')
    call check(surr_plan_set_i(plan, 'index_base', 10, 1_c_int64_t) == SURR_OK, 'index_base')
    call check(surr_plan_set_s(plan, 'on_failure', 10, 'flag', 4) == SURR_OK, 'on_failure')
    call check(surr_plan_commit(plan) == SURR_OK, 'commit')
    call check(surr_work_create(plan, n_cell, work) == SURR_OK, 'work')

    do i = 1, n
      block(:, i) = [1.0_c_double * i, 2.0_c_double, 100.0_c_double + i]
    end do
    column = transpose(block)
    call check(surr_step_block(plan, work, n_cell, dt, block, 3_c_int64_t, 1_c_int64_t, c_null_ptr, c_null_ptr, &
                               c_loc(stat)) == SURR_OK, 'step_block')
    call check(stat(1) == n .and. stat(6) == n, 'stat')

    list = [(int(2 * i, c_int32_t), i = 1, n / 2)]
    one = column(1, :)
    column(2, 1) = ieee_value(one(1), ieee_quiet_nan)
    base = [c_loc(column(1, 1)), c_loc(column(1, 2)), c_loc(column(1, 3))]
    call check(surr_step(plan, work, n_listed, dt, base, [1_c_int64_t, 1_c_int64_t, 1_c_int64_t], SURR_F64, &
                         c_loc(list), c_loc(status), c_null_ptr) == SURR_FLAGGED, 'step')
    call check(status(1) == SURR_CELL_BAD_INPUT .and. status(2) == SURR_CELL_SOLVER, 'status')
    do i = 4, n, 2
      call check(all(column(i, :) == block(:, i)), 'listed cells advance')
      call check(column(i - 1, 1) == 1.0_c_double * (i - 1), 'others do not')
    end do
    call check(surr_step_cell(plan, work, dt, one, cell_status) == SURR_OK, 'step_cell')
    call check(cell_status == SURR_CELL_SOLVER .and. all(one == block(:, 1)), 'one cell')
    call check(surr_work_seconds(work, seconds) == SURR_OK .and. all(seconds >= 0), 'seconds')
  end subroutine

  subroutine test_errors()
    type(c_ptr) :: nothing
    real(c_double) :: q(3) = 1
    integer(c_int32_t) :: status
    call check(surr_model_open('no-such-model', 13, nothing) == SURR_E_IO, 'missing model')
    call check(index(surr_error_text(), 'no-such-model') > 0, 'message')
    call check(surr_model_register(c_null_funptr) == SURR_E_ARG, 'register')
    call check(surr_step_cell(plan, work, -1.0_c_double, q, status) == SURR_E_ARG, 'negative dt')
    call check(surr_work_free(work) == SURR_OK, 'free work')
    call check(surr_plan_free(plan) == SURR_OK, 'free plan')
    call check(surr_model_close(model) == SURR_OK, 'close')
  end subroutine
end program test_fortran
