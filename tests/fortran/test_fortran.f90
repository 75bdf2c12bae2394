!> The Fortran module: every function is called once, with a host that traps floating-point exceptions.
program test_fortran
  use, intrinsic :: iso_c_binding
  use, intrinsic :: ieee_arithmetic, only: ieee_value, ieee_quiet_nan
  use checks, only: check, conclude
  use surrogate
  implicit none

  integer, parameter :: n = 200
  integer(c_int64_t), parameter :: n_cell = n, n_listed = n / 2
  real(c_double), parameter :: dt = 300.0_c_double
  type(c_ptr) :: model, plan, work
  character(len=1024) :: directory

  interface
    function twin_size(i) bind(c) result(bytes)
      import :: c_int32_t
      integer(c_int32_t), value :: i
      integer(c_int32_t) :: bytes
    end function
    function twin_step(path, n_cell, dt, q, status, stat) bind(c) result(code)
      import :: c_int8_t, c_int32_t, c_int64_t, c_double, c_char
      character(kind=c_char), intent(in) :: path(*)
      integer(c_int64_t), value :: n_cell
      real(c_double), value :: dt
      real(c_double), intent(inout) :: q(*)
      integer(c_int8_t), intent(out) :: status(*)
      integer(c_int64_t), intent(out) :: stat(*)
      integer(c_int32_t) :: code
    end function
  end interface

  call get_command_argument(1, directory)
  call test_model()
  call test_layouts()
  call test_queue_and_fallback()
  call test_errors()
  call test_sizes()
  call test_twin()
  call test_stepper()
  call conclude('Fortran module')

contains

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

  !> A keeper of harvested cells counts those that are as they came.
  subroutine count_cells(context, n_cells, state, step, params) bind(c)
    type(c_ptr), value :: context
    integer(c_int64_t), value :: n_cells
    real(c_double), intent(in) :: state(*), step(*), params(*)
    integer(c_int64_t), pointer :: harvested
    call c_f_pointer(context, harvested)
    harvested = harvested + count(state(2:3 * n_cells:3) == 2 .and. step(1:n_cells) == dt .and. params(1:2 * n_cells:2) > 0)
  end subroutine

  !> The host's solver doubles B; it sees the cells of the queue together.
  function double_b(context, n_cells, state, step, params) bind(c) result(code)
    type(c_ptr), value :: context
    integer(c_int64_t), value :: n_cells
    real(c_double), intent(inout) :: state(*)
    real(c_double), intent(in) :: step(*), params(*)
    integer(c_int32_t) :: code
    integer(c_int64_t), pointer :: counter
    call c_f_pointer(context, counter)
    counter = counter + 1
    code = merge(0_c_int32_t, 1_c_int32_t, all(step(1:n_cells) > 0) .and. all(params(1:2 * n_cells) > 0))
    state(2:3 * n_cells:3) = 2 * state(2:3 * n_cells:3)
  end function

  subroutine test_queue_and_fallback()
    type(c_ptr) :: own_plan, own_work, base(3)
    real(c_double), target :: q(3, 4), r(3, 4)
    integer(c_int64_t), target :: counter, harvested, stat(SURR_NSTAT)
    integer(c_int32_t) :: slot
    integer(c_int64_t) :: audit(SURR_NAUDIT), held, drawn
    real(c_double) :: error
    q = spread([1.0_c_double, 2.0_c_double, 100.0_c_double], 2, 4)
    r = q
    counter = 0
    harvested = 0
    call check(surr_plan_create(model, own_plan) == SURR_OK, 'plan')
    call check(surr_plan_field(own_plan, 'A', 1, SURR_Q_STATE, 1.0_c_double, 0, slot) == SURR_OK, 'A')
    call check(surr_plan_field(own_plan, 'B', 1, SURR_Q_STATE, 1.0_c_double, 0, slot) == SURR_OK, 'B')
    call check(surr_plan_field(own_plan, 'T', 1, SURR_Q_STATE, 1.0_c_double, 0, slot) == SURR_OK, 'T')
    call check(surr_plan_set_d(own_plan, 'rtol', 4, 1.0e-2_c_double) == SURR_OK, 'rtol')
    call check(surr_plan_set_fallback(own_plan, c_funloc(double_b), c_loc(counter)) == SURR_OK, 'fallback')
    call check(surr_plan_set_harvest_file(own_plan, 1.0_c_double, 'test_fortran.npy', 16, 9_c_int64_t) == SURR_OK, 'file')
    call check(surr_plan_harvested(own_plan, held, drawn) == SURR_OK .and. held == 0 .and. drawn == 0, 'harvested')
    call check(surr_plan_set_harvest(own_plan, 1.0_c_double, c_funloc(count_cells), c_loc(harvested)) == SURR_OK, 'harvest')
    call check(surr_plan_commit(own_plan) == SURR_OK, 'commit')
    call check(surr_work_create(own_plan, 0_c_int64_t, own_work) == SURR_OK, 'work')
    base = [c_loc(q(1, 1)), c_loc(q(2, 1)), c_loc(q(3, 1))]
    call check(surr_queue(own_plan, own_work, 4_c_int64_t, dt, base, [3_c_int64_t, 3_c_int64_t, 3_c_int64_t], &
                          SURR_F64, c_null_ptr, c_null_ptr, c_null_ptr) == SURR_OK, 'queue')
    call check(surr_queue_block(own_plan, own_work, 4_c_int64_t, dt, r, 3_c_int64_t, 1_c_int64_t, c_null_ptr, &
                                c_null_ptr, c_null_ptr) == SURR_OK, 'queue_block')
    call check(all(q(2, :) == 2) .and. counter == 0, 'cells wait')
    call check(surr_flush(own_work, c_loc(stat)) == SURR_OK, 'flush')
    call check(stat(1) == 8 .and. counter == 1, 'eight cells in one call')
    call check(harvested == 8, 'eight cells harvested as they came')
    call check(all(q(2, :) == 4) .and. all(r(2, :) == 4), 'solved by the host')
    call check(surr_work_audit(own_work, audit) == SURR_OK, 'audit')
    call check(surr_audit_quantile(audit, 0.5_c_double, error) == SURR_OK, 'quantile')
    call check(all(audit == 0) .and. error == 0, 'nothing was audited')
    call check(surr_work_trust(own_work, error) == SURR_OK .and. abs(error - 1) <= 0, 'trust')
    call check(surr_work_set_trust(own_work, 0.5_c_double) == SURR_OK, 'trust is set')
    call check(surr_work_outcomes(own_work, audit) == SURR_OK .and. audit(1) == 0, 'outcomes')
    call check(surr_work_learn(own_work, audit) == SURR_OK, 'learn')
    call check(surr_work_outside(own_work, audit) == SURR_OK .and. all(audit == 0), 'nothing was outside')
    call check(surr_work_free(own_work) == SURR_OK, 'free work')
    call check(surr_plan_free(own_plan) == SURR_OK, 'free plan')
  end subroutine

  !> What crosses the boundary has the same size on both sides.
  subroutine test_sizes()
    integer(c_int32_t) :: i4 = 0, i
    integer(c_int64_t) :: i8 = 0
    integer(c_int8_t) :: i1 = 0
    real(c_double) :: r8 = 0
    real(c_float) :: r4 = 0
    integer(c_size_t) :: ours(8)
    ours = [c_sizeof(i4), c_sizeof(i8), c_sizeof(r8), c_sizeof(r4), c_sizeof(i1), c_sizeof(c_null_ptr), &
            c_sizeof(model), c_sizeof(c_null_funptr)]
    do i = 0, 7
      call check(twin_size(i) == ours(i + 1), 'sizes of C and Fortran')
    end do
  end subroutine

  subroutine fill(q)
    real(c_double), intent(out) :: q(:, :)
    integer :: i
    do i = 1, size(q, 2)
      q(:, i) = [3.347_c_double + i, 3.347_c_double, 1e4_c_double + i]
    end do
    q(1, 7) = -1
  end subroutine

  !> The stepper through views of every kind gives the bits of the C interface.
  subroutine test_twin()
    type(surrogate_stepper) :: own
    real(c_double) :: expected(3, n), rows(3, n), wide(7, 2 * n)
    real(c_double), target :: columns(n, 4)
    integer(c_int8_t) :: theirs(n)
    integer(c_int8_t), target :: ours(n)
    integer(c_int64_t), target :: counts(SURR_NSTAT), stat(SURR_NSTAT), rest(SURR_NSTAT)
    integer(c_int32_t) :: status

    call fill(expected)
    call check(twin_step(trim(directory) // '/toy.so' // c_null_char, n_cell, 3.0_c_double, expected, theirs, counts) &
               == SURR_FLAGGED, 'twin')
    call check(count(theirs == SURR_CELL_SOLVER) == n - 1, 'all but one')
    call own%open(trim(directory) // '/toy.so', 1e-2_c_double)
    call own%units(1e5_c_double, 1e-24_c_double, 1e2_c_double)
    call own%field('A', SURR_Q_MASS_DENSITY)
    call own%field('B', SURR_Q_MASS_DENSITY, scale=1.0_c_double)
    call own%field('T', SURR_Q_EINT_MASS)
    call own%set('threads', 2)
    call own%set('max_solver_steps', 100000_c_int64_t)
    call own%set('on_failure', 'flag')
    call own%set('audit', 0.0_c_double)
    call check(own%commit(n) == SURR_OK, 'commit')

    call fill(rows)
    call check(own%step(rows, 3.0_c_double, ours, stat) == SURR_FLAGGED, 'step')
    call check(all(rows == expected) .and. all(ours == theirs) .and. all(stat == counts), 'as from C')

    wide = -7
    call fill(rows)
    wide(2:6:2, 2::2) = rows
    call check(own%step(wide(2:6:2, 2::2), 3.0_c_double, ours) == SURR_FLAGGED, 'strided')
    call check(all(wide(2:6:2, 2::2) == expected) .and. all(ours == theirs), 'strided, as from C')
    wide(2:6:2, 2::2) = -7
    call check(all(wide == -7), 'nothing beside it')

    columns(:, 1) = -7
    columns(:, 2:4) = transpose(rows)
    call check(own%queue(columns(:, 2:4), 3.0_c_double, ours, stat, cell_dim=1) == SURR_FLAGGED, 'queue')
    call check(all(columns(:, 2:4) == transpose(rows)) .and. count(ours == SURR_CELL_QUEUED) == n - 1, 'they wait')
    call check(own%flush(rest) == SURR_OK, 'flush')
    call check(all(stat + rest == counts), 'counts of queue and flush')
    call check(all(columns(:, 2:4) == transpose(expected)) .and. all(ours == theirs), 'queued, as from C')

    call fill(rows)
    call check(own%step(rows(:, 3), 3.0_c_double, status) == SURR_OK, 'one cell')
    call check(status == SURR_CELL_SOLVER .and. all(rows(:, 3) == expected(:, 3)), 'one cell, as from C')
    call check(own%step(rows(:, 1:0), 3.0_c_double) == SURR_OK, 'no cell')
  end subroutine

  !> The call failed with the code, and the message holds the text.
  subroutine fails(own, code, expected, text)
    type(surrogate_stepper), intent(in) :: own
    integer(c_int32_t), intent(in) :: code, expected
    character(len=*), intent(in) :: text
    character(len=1024) :: said
    said = own%message()
    call check(code == expected .and. index(said, text) > 0, text // ' in: ' // trim(said))
  end subroutine

  subroutine test_stepper()
    type(surrogate_stepper) :: own, other
    type(surrogate_stepper), allocatable :: gone
    real(c_double) :: q(3, 2), before(3, 2)
    integer(c_int8_t) :: status(5)
    q = spread([1.0_c_double, 2.0_c_double, 100.0_c_double], 2, 2)
    before = q
    call fails(own, own%step(q, dt), SURR_E_STATE, 'commit')
    call own%open('no-such-model', 1e-2_c_double)
    call own%field('A', SURR_Q_STATE)
    call fails(own, own%commit(), SURR_E_IO, 'no-such-model')
    call own%open(trim(directory) // '/toy.so', 0.0_c_double)
    call fails(own, own%commit(), SURR_E_ARG, 'rtol')
    call own%open(trim(directory) // '/toy.so', 1e-2_c_double)
    call check(own%commit() == SURR_OK, 'open again, with the fields of the model')
    other = own
    call check(other%step(q, dt) == SURR_E_STATE, 'a copy is closed')
    call fails(own, own%step(q(1:2, :), dt), SURR_E_ARG, '2 fields')
    call fails(own, own%step(q, dt, status(1:1)), SURR_E_ARG, '1 elements')
    call fails(own, own%step(q, dt, status(1:5:2)), SURR_E_ARG, 'side by side')
    call fails(own, own%step(q, -dt), SURR_E_ARG, 'dt is')
    call check(all(q == before), 'an error changes nothing')
    call check(own%step(q, dt) == SURR_OK, 'step')
    call check(all(q(:, 1) == q(:, 2)) .and. q(1, 1) < 1, 'both cells advance')
    allocate (gone)
    call gone%open(trim(directory) // '/toy.so', 1e-2_c_double)
    call check(gone%commit() == SURR_OK, 'allocatable')
    deallocate (gone)
    call own%close()
    call check(own%step(q(:, 1), dt) == SURR_E_STATE, 'closed')
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
