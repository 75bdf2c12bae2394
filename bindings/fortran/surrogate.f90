!> The C interface of surrogate.h for Fortran 2003 and later: compile this one file with your own compiler.
!>
!> Every function is that of the header, which documents it; all return its integer codes. A string goes in as
!> (text, len(text)) and comes out padded with blanks through the functions surr_*_text below. Arguments that C allows
!> to be NULL are of type c_ptr: pass c_loc(x) of a target, or c_null_ptr.
!>
!> type(surrogate_stepper) puts them behind arrays of any strides, without copies:
!>
!>     type(surrogate_stepper) :: chemistry
!>     call chemistry%open('ism-molecular', rtol=1e-2_c_double)
!>     call chemistry%field('H2', SURR_Q_MASS_DENSITY)            ! ... one per row of q, in their order
!>     code = chemistry%commit()                                  ! the first error of all these calls
!>     code = chemistry%step(q(5:14, 1:nx, j), dt)                ! q(field, cell) in place, every time step
module surrogate
  use, intrinsic :: iso_c_binding, only: c_associated, c_char, c_double, c_funptr, c_int8_t, c_int32_t, c_int64_t, &
    c_intptr_t, c_loc, c_null_char, c_null_ptr, c_ptr
  implicit none
  private

  ! >>> codes: written by bindings/generate.py, do not edit
  integer(c_int32_t), parameter, public :: SURR_ABI_MAJOR = 1, SURR_ABI_MINOR = 0
  integer(c_int32_t), parameter, public :: SURR_OK = 0, SURR_FLAGGED = 1, SURR_E_ARG = -1, SURR_E_ABI = -2, &
      SURR_E_IO = -3, SURR_E_FORMAT = -4, SURR_E_CHECKSUM = -5, SURR_E_NOMEM = -6, SURR_E_FIELD = -7, &
      SURR_E_UNITS = -8, SURR_E_STATE = -9, SURR_E_CELLS = -10, SURR_E_MPI = -11, SURR_E_BUSY = -12, &
      SURR_E_UNSUPPORTED = -13
  integer(c_int32_t), parameter, public :: SURR_CELL_NET = 0, SURR_CELL_OUTSIDE = 1, SURR_CELL_ERROR = 2, &
      SURR_CELL_AUDIT = 3, SURR_CELL_SOLVER = 4, SURR_CELL_MASKED = 32, SURR_CELL_BAD_INPUT = 33, &
      SURR_CELL_FAILED = 34, SURR_CELL_QUEUED = 35, SURR_CELL_STALLED = 36
  integer(c_int32_t), parameter, public :: SURR_Q_NUMBER_DENSITY = 1, SURR_Q_MASS_DENSITY = 2, &
      SURR_Q_MASS_FRACTION = 3, SURR_Q_PER_H = 4, SURR_Q_PER_H_TIMES_RHO = 5, SURR_Q_TEMPERATURE = 10, &
      SURR_Q_T_OVER_MU = 11, SURR_Q_EINT_MASS = 12, SURR_Q_EINT_VOLUME = 13, SURR_Q_STATE = 15, SURR_Q_DENSITY = 20, &
      SURR_Q_NH = 21, SURR_Q_PARAM = 30, SURR_Q_DT = 31, SURR_Q_MASK = 32, SURR_Q_MAX_STEP = 34, SURR_Q_COST = 33
  integer(c_int32_t), parameter, public :: SURR_F_COMPACT = 0, SURR_F_INDEXED = 1, SURR_F_INPUT = 2
  integer(c_int32_t), parameter, public :: SURR_F64 = 0, SURR_F32 = 1
  integer(c_int32_t), parameter, public :: SURR_STAT_CELLS = 0, SURR_STAT_NET = 1, SURR_STAT_OUTSIDE = 2, &
      SURR_STAT_ERROR = 3, SURR_STAT_AUDIT = 4, SURR_STAT_SOLVER = 5, SURR_STAT_UNTOUCHED = 6, SURR_STAT_STEPS = 7
  integer(c_int32_t), parameter, public :: SURR_NSTAT = 8, SURR_NPHASE = 4, SURR_NAUDIT = 240
  integer(c_int32_t), parameter, public :: SURR_PHASE_GATHER = 0, SURR_PHASE_NET = 1, SURR_PHASE_SOLVER = 2, &
      SURR_PHASE_SCATTER = 3
  ! <<< codes

  ! >>> functions: written by bindings/generate.py, do not edit
  public :: surr_abi_check, surr_version, surr_last_error, surr_status_name, surr_model_open, surr_model_register, &
      surr_model_close, surr_model_selftest, surr_model_evaluate, surr_model_count, surr_model_field, &
      surr_model_dt_range, surr_model_info, surr_plan_create, surr_plan_free, surr_plan_units, surr_plan_field, &
      surr_plan_set_i, surr_plan_set_d, surr_plan_set_s, surr_plan_set_fallback, surr_plan_set_harvest, &
      surr_plan_set_harvest_file, surr_plan_harvested, surr_plan_commit, surr_work_create, surr_work_free, &
      surr_work_seconds, surr_work_outside, surr_work_audit, surr_work_trust, surr_work_set_trust, surr_work_outcomes, &
      surr_work_learn, surr_audit_quantile, surr_step, surr_step_block, surr_step_cell, surr_queue, surr_queue_block, &
      surr_flush
  ! <<< functions
  public :: surr_error_text, surr_version_text, surr_status_text
  public :: surrogate_stepper, surrogate_fallback, surrogate_keeper

  !> A model, a plan and a work, freed together when the variable goes out of scope. One thread may use it at a time.
  !> The handles are there for calls of the surr_* functions that it does not wrap; they have one owner, so that a copy
  !> of a stepper is a closed one.
  type :: surrogate_stepper
    type(c_ptr) :: model = c_null_ptr, plan = c_null_ptr, work = c_null_ptr
    integer(c_int32_t), private :: failure = 0, n_field = 0
    character(len=120), private :: own_message = ''
  contains
    procedure :: open => stepper_open        !< subroutine (name, rtol)
    procedure :: units => stepper_units      !< subroutine (length_cm, density_gcc, time_s)
    procedure :: field => stepper_field      !< subroutine (name, quantity [, scale])
    generic :: set => set_word, set_real, set_int32, set_int64 !< subroutine (key, value), keys as in surrogate.h
    procedure :: harvest => stepper_harvest  !< subroutine (share, file [, most])
    procedure :: commit => stepper_commit    !< code = ([n_cell])
    generic :: step => step_cell, step_cells !< code = (q(:), dt [, status]), (q(:, :), dt [, status, stat, cell_dim])
    procedure :: queue => stepper_queue      !< code = (q(:, :), dt [, status, stat, cell_dim]), then
    procedure :: flush => stepper_flush      !< code = ([stat])
    procedure :: close => stepper_close      !< subroutine (): also at the end of its scope
    procedure :: message => stepper_message  !< text of its last failure
    procedure, private :: set_word
    procedure, private :: set_real
    procedure, private :: set_int32
    procedure, private :: set_int64
    procedure, private :: step_cell
    procedure, private :: step_cells
    procedure, private :: copy
    generic :: assignment(=) => copy
    final :: finalize
  end type

  !> A solver of your own for surr_plan_set_fallback, as c_funloc(procedure): advances the n cells in state, packed one
  !> after the other with the variables in the model's order, and returns 0, or another number if it gave all up.
  abstract interface
    function surrogate_fallback(context, n, state, dt, params) bind(c) result(code)
      import :: c_int32_t, c_int64_t, c_ptr, c_double
      type(c_ptr), value :: context
      integer(c_int64_t), value :: n
      real(c_double), intent(inout) :: state(*)
      real(c_double), intent(in) :: dt(*), params(*)
      integer(c_int32_t) :: code
    end function

    !> What is to become of harvested cells, for surr_plan_set_harvest, as c_funloc(procedure): n cells before their step,
    !> packed as above.
    subroutine surrogate_keeper(context, n, state, dt, params) bind(c)
      import :: c_int64_t, c_ptr, c_double
      type(c_ptr), value :: context
      integer(c_int64_t), value :: n
      real(c_double), intent(in) :: state(*), dt(*), params(*)
    end subroutine
  end interface

  ! >>> interfaces: written by bindings/generate.py, do not edit
  interface
    function surr_abi_check(major, minor) bind(c) result(code)
      import :: c_int32_t
      integer(c_int32_t), value :: major, minor
      integer(c_int32_t) :: code
    end function

    function surr_version(buf, len) bind(c) result(code)
      import :: c_char, c_int32_t
      character(kind=c_char), intent(out) :: buf(*)
      integer(c_int32_t), value :: len
      integer(c_int32_t) :: code
    end function

    function surr_last_error(buf, len) bind(c) result(code)
      import :: c_char, c_int32_t
      character(kind=c_char), intent(out) :: buf(*)
      integer(c_int32_t), value :: len
      integer(c_int32_t) :: code
    end function

    function surr_status_name(status, buf, len) bind(c) result(code)
      import :: c_char, c_int32_t
      integer(c_int32_t), value :: status
      character(kind=c_char), intent(out) :: buf(*)
      integer(c_int32_t), value :: len
      integer(c_int32_t) :: code
    end function

    function surr_model_open(name_or_path, len, model) bind(c) result(code)
      import :: c_char, c_int32_t, c_ptr
      character(kind=c_char), intent(in) :: name_or_path(*)
      integer(c_int32_t), value :: len
      type(c_ptr), intent(out) :: model
      integer(c_int32_t) :: code
    end function

    function surr_model_register(entry_point) bind(c) result(code)
      import :: c_funptr, c_int32_t
      type(c_funptr), value :: entry_point
      integer(c_int32_t) :: code
    end function

    function surr_model_close(model) bind(c) result(code)
      import :: c_int32_t, c_ptr
      type(c_ptr), value :: model
      integer(c_int32_t) :: code
    end function

    function surr_model_selftest(model, max_error) bind(c) result(code)
      import :: c_double, c_int32_t, c_ptr
      type(c_ptr), value :: model
      real(c_double), intent(out) :: max_error
      integer(c_int32_t) :: code
    end function

    function surr_model_evaluate(model, n_cell, y, params, f, jacobian) bind(c) result(code)
      import :: c_double, c_int32_t, c_int64_t, c_ptr
      type(c_ptr), value :: model
      integer(c_int64_t), value :: n_cell
      real(c_double), intent(in) :: y(*), params(*)
      real(c_double), intent(out) :: f(*)
      type(c_ptr), value :: jacobian
      integer(c_int32_t) :: code
    end function

    function surr_model_count(model, n_state, n_param) bind(c) result(code)
      import :: c_int32_t, c_ptr
      type(c_ptr), value :: model
      integer(c_int32_t), intent(out) :: n_state, n_param
      integer(c_int32_t) :: code
    end function

    !> Fields are counted from 0.
    function surr_model_field(model, i, name, name_len, unit, unit_len, lower, upper, val, is_param) &
        bind(c) result(code)
      import :: c_char, c_double, c_int32_t, c_ptr
      type(c_ptr), value :: model
      integer(c_int32_t), value :: i
      character(kind=c_char), intent(out) :: name(*)
      integer(c_int32_t), value :: name_len
      character(kind=c_char), intent(out) :: unit(*)
      integer(c_int32_t), value :: unit_len
      real(c_double), intent(out) :: lower, upper, val
      integer(c_int32_t), intent(out) :: is_param
      integer(c_int32_t) :: code
    end function

    function surr_model_dt_range(model, lower, upper) bind(c) result(code)
      import :: c_double, c_int32_t, c_ptr
      type(c_ptr), value :: model
      real(c_double), intent(out) :: lower, upper
      integer(c_int32_t) :: code
    end function

    function surr_model_info(model, json, len, needed) bind(c) result(code)
      import :: c_int32_t, c_int64_t, c_ptr
      type(c_ptr), value :: model, json
      integer(c_int64_t), value :: len
      integer(c_int64_t), intent(out) :: needed
      integer(c_int32_t) :: code
    end function

    function surr_plan_create(model, plan) bind(c) result(code)
      import :: c_int32_t, c_ptr
      type(c_ptr), value :: model
      type(c_ptr), intent(out) :: plan
      integer(c_int32_t) :: code
    end function

    function surr_plan_free(plan) bind(c) result(code)
      import :: c_int32_t, c_ptr
      type(c_ptr), value :: plan
      integer(c_int32_t) :: code
    end function

    function surr_plan_units(plan, length_cm, density_gcc, time_s) bind(c) result(code)
      import :: c_double, c_int32_t, c_ptr
      type(c_ptr), value :: plan
      real(c_double), value :: length_cm, density_gcc, time_s
      integer(c_int32_t) :: code
    end function

    !> Slots are counted from 0.
    function surr_plan_field(plan, name, name_len, quantity, extra_scale, flags, slot) bind(c) result(code)
      import :: c_char, c_double, c_int32_t, c_ptr
      type(c_ptr), value :: plan
      character(kind=c_char), intent(in) :: name(*)
      integer(c_int32_t), value :: name_len, quantity
      real(c_double), value :: extra_scale
      integer(c_int32_t), value :: flags
      integer(c_int32_t), intent(out) :: slot
      integer(c_int32_t) :: code
    end function

    function surr_plan_set_i(plan, key, key_len, v) bind(c) result(code)
      import :: c_char, c_int32_t, c_int64_t, c_ptr
      type(c_ptr), value :: plan
      character(kind=c_char), intent(in) :: key(*)
      integer(c_int32_t), value :: key_len
      integer(c_int64_t), value :: v
      integer(c_int32_t) :: code
    end function

    function surr_plan_set_d(plan, key, key_len, v) bind(c) result(code)
      import :: c_char, c_double, c_int32_t, c_ptr
      type(c_ptr), value :: plan
      character(kind=c_char), intent(in) :: key(*)
      integer(c_int32_t), value :: key_len
      real(c_double), value :: v
      integer(c_int32_t) :: code
    end function

    function surr_plan_set_s(plan, key, key_len, v, v_len) bind(c) result(code)
      import :: c_char, c_int32_t, c_ptr
      type(c_ptr), value :: plan
      character(kind=c_char), intent(in) :: key(*)
      integer(c_int32_t), value :: key_len
      character(kind=c_char), intent(in) :: v(*)
      integer(c_int32_t), value :: v_len
      integer(c_int32_t) :: code
    end function

    !> advance: c_funloc of a surrogate_fallback, or c_null_funptr.
    function surr_plan_set_fallback(plan, advance, context) bind(c) result(code)
      import :: c_funptr, c_int32_t, c_ptr
      type(c_ptr), value :: plan
      type(c_funptr), value :: advance
      type(c_ptr), value :: context
      integer(c_int32_t) :: code
    end function

    !> keep: c_funloc of a surrogate_keeper, or c_null_funptr.
    function surr_plan_set_harvest(plan, share, keep, context) bind(c) result(code)
      import :: c_double, c_funptr, c_int32_t, c_ptr
      type(c_ptr), value :: plan
      real(c_double), value :: share
      type(c_funptr), value :: keep
      type(c_ptr), value :: context
      integer(c_int32_t) :: code
    end function

    function surr_plan_set_harvest_file(plan, share, path, path_len, most) bind(c) result(code)
      import :: c_char, c_double, c_int32_t, c_int64_t, c_ptr
      type(c_ptr), value :: plan
      real(c_double), value :: share
      character(kind=c_char), intent(in) :: path(*)
      integer(c_int32_t), value :: path_len
      integer(c_int64_t), value :: most
      integer(c_int32_t) :: code
    end function

    function surr_plan_harvested(plan, held, drawn) bind(c) result(code)
      import :: c_int32_t, c_int64_t, c_ptr
      type(c_ptr), value :: plan
      integer(c_int64_t), intent(out) :: held, drawn
      integer(c_int32_t) :: code
    end function

    function surr_plan_commit(plan) bind(c) result(code)
      import :: c_int32_t, c_ptr
      type(c_ptr), value :: plan
      integer(c_int32_t) :: code
    end function

    function surr_work_create(plan, max_cells_hint, work) bind(c) result(code)
      import :: c_int32_t, c_int64_t, c_ptr
      type(c_ptr), value :: plan
      integer(c_int64_t), value :: max_cells_hint
      type(c_ptr), intent(out) :: work
      integer(c_int32_t) :: code
    end function

    function surr_work_free(work) bind(c) result(code)
      import :: c_int32_t, c_ptr
      type(c_ptr), value :: work
      integer(c_int32_t) :: code
    end function

    function surr_work_seconds(work, seconds) bind(c) result(code)
      import :: c_double, c_int32_t, c_ptr
      type(c_ptr), value :: work
      real(c_double), intent(out) :: seconds(*)
      integer(c_int32_t) :: code
    end function

    function surr_work_outside(work, count) bind(c) result(code)
      import :: c_int32_t, c_int64_t, c_ptr
      type(c_ptr), value :: work
      integer(c_int64_t), intent(out) :: count(*)
      integer(c_int32_t) :: code
    end function

    function surr_work_audit(work, count) bind(c) result(code)
      import :: c_int32_t, c_int64_t, c_ptr
      type(c_ptr), value :: work
      integer(c_int64_t), intent(out) :: count(*)
      integer(c_int32_t) :: code
    end function

    function surr_work_trust(work, trust) bind(c) result(code)
      import :: c_double, c_int32_t, c_ptr
      type(c_ptr), value :: work
      real(c_double), intent(out) :: trust
      integer(c_int32_t) :: code
    end function

    function surr_work_set_trust(work, trust) bind(c) result(code)
      import :: c_double, c_int32_t, c_ptr
      type(c_ptr), value :: work
      real(c_double), value :: trust
      integer(c_int32_t) :: code
    end function

    function surr_work_outcomes(work, count) bind(c) result(code)
      import :: c_int32_t, c_int64_t, c_ptr
      type(c_ptr), value :: work
      integer(c_int64_t), intent(out) :: count(*)
      integer(c_int32_t) :: code
    end function

    function surr_work_learn(work, count) bind(c) result(code)
      import :: c_int32_t, c_int64_t, c_ptr
      type(c_ptr), value :: work
      integer(c_int64_t), intent(in) :: count(*)
      integer(c_int32_t) :: code
    end function

    function surr_audit_quantile(count, q, error) bind(c) result(code)
      import :: c_double, c_int32_t, c_int64_t
      integer(c_int64_t), intent(in) :: count(*)
      real(c_double), value :: q
      real(c_double), intent(out) :: error
      integer(c_int32_t) :: code
    end function

    !> base(k) = c_loc(first element of slot k - 1); index: c_loc of integer(c_int32_t) cell numbers, from 1 on
    !> after surr_plan_set_i(plan, 'index_base', 10, 1_c_int64_t); status: c_loc of integer(c_int8_t); stat: c_loc
    !> of integer(c_int64_t).
    function surr_step(plan, work, n_cell, dt, base, stride, dtype, index, status, stat) bind(c) result(code)
      import :: c_double, c_int32_t, c_int64_t, c_ptr
      type(c_ptr), value :: plan, work
      integer(c_int64_t), value :: n_cell
      real(c_double), value :: dt
      type(c_ptr), intent(in) :: base(*)
      integer(c_int64_t), intent(in) :: stride(*)
      integer(c_int32_t), value :: dtype
      type(c_ptr), value :: index, status, stat
      integer(c_int32_t) :: code
    end function

    function surr_step_block(plan, work, n_cell, dt, q, cell_stride, slot_stride, index, status, stat) &
        bind(c) result(code)
      import :: c_double, c_int32_t, c_int64_t, c_ptr
      type(c_ptr), value :: plan, work
      integer(c_int64_t), value :: n_cell
      real(c_double), value :: dt
      real(c_double), intent(inout) :: q(*)
      integer(c_int64_t), value :: cell_stride, slot_stride
      type(c_ptr), value :: index, status, stat
      integer(c_int32_t) :: code
    end function

    function surr_step_cell(plan, work, dt, q, status) bind(c) result(code)
      import :: c_double, c_int32_t, c_ptr
      type(c_ptr), value :: plan, work
      real(c_double), value :: dt
      real(c_double), intent(inout) :: q(*)
      integer(c_int32_t), intent(out) :: status
      integer(c_int32_t) :: code
    end function

    !> As surr_step. The cells and the status bytes must be targets that stay where they are until the flush.
    function surr_queue(plan, work, n_cell, dt, base, stride, dtype, index, status, stat) bind(c) result(code)
      import :: c_double, c_int32_t, c_int64_t, c_ptr
      type(c_ptr), value :: plan, work
      integer(c_int64_t), value :: n_cell
      real(c_double), value :: dt
      type(c_ptr), intent(in) :: base(*)
      integer(c_int64_t), intent(in) :: stride(*)
      integer(c_int32_t), value :: dtype
      type(c_ptr), value :: index, status, stat
      integer(c_int32_t) :: code
    end function

    function surr_queue_block(plan, work, n_cell, dt, q, cell_stride, slot_stride, index, status, stat) &
        bind(c) result(code)
      import :: c_double, c_int32_t, c_int64_t, c_ptr
      type(c_ptr), value :: plan, work
      integer(c_int64_t), value :: n_cell
      real(c_double), value :: dt
      real(c_double), intent(inout) :: q(*)
      integer(c_int64_t), value :: cell_stride, slot_stride
      type(c_ptr), value :: index, status, stat
      integer(c_int32_t) :: code
    end function

    function surr_flush(work, stat) bind(c) result(code)
      import :: c_int32_t, c_ptr
      type(c_ptr), value :: work, stat
      integer(c_int32_t) :: code
    end function
  end interface
  ! <<< interfaces

contains

  !> Message of this thread's last failure.
  function surr_error_text() result(text)
    character(len=1024) :: text
    character(kind=c_char) :: buf(1024)
    text = ''
    if (surr_last_error(buf, size(buf, kind=c_int32_t)) == SURR_OK) call from_c(buf, text)
  end function

  !> Version of the library, "major.minor.patch".
  function surr_version_text() result(text)
    character(len=32) :: text
    character(kind=c_char) :: buf(32)
    text = ''
    if (surr_version(buf, size(buf, kind=c_int32_t)) == SURR_OK) call from_c(buf, text)
  end function

  !> Name of a cell status (>= 0) or return code (< 0), blank if there is none.
  function surr_status_text(status) result(text)
    integer(c_int32_t), intent(in) :: status
    character(len=64) :: text
    character(kind=c_char) :: buf(64)
    text = ''
    if (surr_status_name(status, buf, size(buf, kind=c_int32_t)) == SURR_OK) call from_c(buf, text)
  end function

  subroutine from_c(buf, text)
    character(kind=c_char), intent(in) :: buf(:)
    character(len=*), intent(inout) :: text
    integer :: i
    do i = 1, min(size(buf), len(text))
      if (buf(i) == c_null_char) return
      text(i:i) = buf(i)
    end do
  end subroutine

  ! ---- surrogate_stepper -------------------------------------------------------------------------------------------

  !> Opens a model, by name or path. After a failure the other set-up calls do nothing, and commit returns its code.
  subroutine stepper_open(self, name, rtol)
    class(surrogate_stepper), intent(inout) :: self
    character(len=*), intent(in) :: name
    real(c_double), intent(in) :: rtol
    call self%close()
    self%failure = surr_model_open(name, len(name, c_int32_t), self%model)
    if (self%failure == SURR_OK) self%failure = surr_plan_create(self%model, self%plan)
    call self%set('rtol', rtol)
  end subroutine

  subroutine stepper_units(self, length_cm, density_gcc, time_s)
    class(surrogate_stepper), intent(inout) :: self
    real(c_double), intent(in) :: length_cm, density_gcc, time_s
    if (self%failure == SURR_OK) self%failure = surr_plan_units(self%plan, length_cm, density_gcc, time_s)
  end subroutine

  !> Declares the next row of q. Without any, q holds the model's variables in its order and units.
  subroutine stepper_field(self, name, quantity, scale)
    class(surrogate_stepper), intent(inout) :: self
    character(len=*), intent(in) :: name
    integer(c_int32_t), intent(in) :: quantity
    real(c_double), intent(in), optional :: scale
    real(c_double) :: factor
    integer(c_int32_t) :: slot
    factor = 1
    if (present(scale)) factor = scale
    if (self%failure == SURR_OK) self%failure = surr_plan_field(self%plan, name, len_trim(name, c_int32_t), quantity, &
                                                                factor, SURR_F_COMPACT, slot)
    self%n_field = self%n_field + 1
  end subroutine

  subroutine set_word(self, key, val)
    class(surrogate_stepper), intent(inout) :: self
    character(len=*), intent(in) :: key, val
    if (self%failure == SURR_OK) self%failure = surr_plan_set_s(self%plan, key, len(key, c_int32_t), val, &
                                                                len(val, c_int32_t))
  end subroutine

  subroutine set_real(self, key, val)
    class(surrogate_stepper), intent(inout) :: self
    character(len=*), intent(in) :: key
    real(c_double), intent(in) :: val
    if (self%failure == SURR_OK) self%failure = surr_plan_set_d(self%plan, key, len(key, c_int32_t), val)
  end subroutine

  subroutine set_int64(self, key, val)
    class(surrogate_stepper), intent(inout) :: self
    character(len=*), intent(in) :: key
    integer(c_int64_t), intent(in) :: val
    if (self%failure == SURR_OK) self%failure = surr_plan_set_i(self%plan, key, len(key, c_int32_t), val)
  end subroutine

  subroutine set_int32(self, key, val)
    class(surrogate_stepper), intent(inout) :: self
    character(len=*), intent(in) :: key
    integer(c_int32_t), intent(in) :: val
    call self%set(key, int(val, c_int64_t))
  end subroutine

  !> Keeps a share of the cells that a net is for in a file (.npy), of each rank its own, for `surrogate adapt`: at most
  !> `most` of them (1000000).
  subroutine stepper_harvest(self, share, file, most)
    class(surrogate_stepper), intent(inout) :: self
    real(c_double), intent(in) :: share
    character(len=*), intent(in) :: file
    integer(c_int64_t), intent(in), optional :: most
    integer(c_int64_t) :: limit
    limit = 1000000
    if (present(most)) limit = most
    if (self%failure == SURR_OK) self%failure = surr_plan_set_harvest_file(self%plan, share, file, &
                                                                           len_trim(file, c_int32_t), limit)
  end subroutine

  !> Commits the plan and makes room for calls of n_cell cells (not known: 0).
  function stepper_commit(self, n_cell) result(code)
    class(surrogate_stepper), intent(inout) :: self
    integer, intent(in), optional :: n_cell
    integer(c_int32_t) :: code
    integer(c_int64_t) :: hint
    hint = 0
    if (present(n_cell)) hint = n_cell
    if (self%failure == SURR_OK .and. self%n_field == 0) call declare_variables(self)
    if (self%failure == SURR_OK) self%failure = surr_plan_commit(self%plan)
    if (self%failure == SURR_OK) self%failure = surr_work_create(self%plan, hint, self%work)
    code = self%failure
  end function

  subroutine declare_variables(self)
    class(surrogate_stepper), intent(inout) :: self
    integer(c_int32_t) :: i, n_state, n_param, is_param
    real(c_double) :: lower, upper, val
    character(kind=c_char) :: name(64), unit(64)
    character(len=64) :: text
    self%failure = surr_model_count(self%model, n_state, n_param)
    do i = 0, n_state - 1
      if (self%failure == SURR_OK) self%failure = surr_model_field(self%model, i, name, 64, unit, 64, lower, upper, &
                                                                   val, is_param)
      text = ''
      call from_c(name, text)
      call self%field(text, SURR_Q_STATE)
    end do
  end subroutine

  !> Advances the cell q(field) by dt, in place.
  function step_cell(self, q, dt, status) result(code)
    class(surrogate_stepper), intent(inout) :: self
    real(c_double), intent(inout) :: q(:)
    real(c_double), intent(in) :: dt
    integer(c_int32_t), intent(inout), optional :: status
    integer(c_int32_t) :: code, settled
    code = check_shape(self, size(q), 0, 0)
    if (code /= SURR_OK) return
    code = surr_step_cell(self%plan, self%work, dt, q, settled)
    if (present(status) .and. (code >= 0 .or. code == SURR_E_CELLS)) status = settled
  end function

  !> Advances the cells q(field, :), or with cell_dim=1 q(:, field), by dt, in place and without a copy whatever part of
  !> an array they are. status(c) is that of cell c, stat(0:SURR_NSTAT - 1) the counts.
  function step_cells(self, q, dt, status, stat, cell_dim) result(code)
    class(surrogate_stepper), intent(inout) :: self
    real(c_double), intent(inout), target :: q(:, :)
    real(c_double), intent(in) :: dt
    integer(c_int8_t), intent(inout), optional, target :: status(:)
    integer(c_int64_t), intent(out), optional, target :: stat(SURR_NSTAT)
    integer, intent(in), optional :: cell_dim
    integer(c_int32_t) :: code
    code = run_cells(self, .false., q, dt, status, stat, cell_dim)
  end function

  !> As step, but cells that need the solver wait for the flush: q and status must be (parts of) targets until then.
  function stepper_queue(self, q, dt, status, stat, cell_dim) result(code)
    class(surrogate_stepper), intent(inout) :: self
    real(c_double), intent(inout), target :: q(:, :)
    real(c_double), intent(in) :: dt
    integer(c_int8_t), intent(inout), optional, target :: status(:)
    integer(c_int64_t), intent(out), optional, target :: stat(SURR_NSTAT)
    integer, intent(in), optional :: cell_dim
    integer(c_int32_t) :: code
    code = run_cells(self, .true., q, dt, status, stat, cell_dim)
  end function

  !> Whether q has a row per field and status an element per cell.
  function check_shape(self, n_field, n_status, n_cell) result(code)
    class(surrogate_stepper), intent(inout) :: self
    integer, intent(in) :: n_field, n_status, n_cell
    integer(c_int32_t) :: code
    code = SURR_E_ARG
    self%own_message = ''
    if (.not. c_associated(self%work)) then
      code = SURR_E_STATE
      self%own_message = 'the stepper is not committed: call open and commit first'
    else if (n_field /= self%n_field) then
      write (self%own_message, '(a,i0,a,i0,a)') 'q has ', n_field, ' fields per cell, ', self%n_field, ' are declared'
    else if (n_status < n_cell) then
      write (self%own_message, '(a,i0,a,i0,a)') 'status has ', n_status, ' elements for ', n_cell, ' cells'
    else
      code = SURR_OK
    end if
  end function

  function run_cells(self, later, q, dt, status, stat, cell_dim) result(code)
    class(surrogate_stepper), intent(inout) :: self
    logical, intent(in) :: later
    real(c_double), intent(inout), target :: q(:, :)
    real(c_double), intent(in) :: dt
    integer(c_int8_t), intent(inout), optional, target :: status(:)
    integer(c_int64_t), intent(inout), optional, target :: stat(SURR_NSTAT)
    integer, intent(in), optional :: cell_dim
    integer(c_int32_t) :: code
    integer :: cells, i
    integer(c_int64_t) :: n_cell, strides(2)
    type(c_ptr) :: where_status, where_stat, base(self%n_field)

    cells = 2
    if (present(cell_dim)) cells = merge(1, 2, cell_dim == 1)
    n_cell = size(q, cells)
    i = size(q, cells)
    if (present(status)) i = size(status)
    code = check_shape(self, size(q, 3 - cells), i, size(q, cells))
    if (code == SURR_OK .and. present(status) .and. n_cell > 1) then
      if (address(c_loc(status(2))) - address(c_loc(status(1))) /= 1) then
        code = SURR_E_ARG
        self%own_message = 'the elements of status are not side by side: give a whole array, or a(i:j)'
      end if
    end if
    if (code /= SURR_OK) return
    where_status = c_null_ptr
    if (present(status) .and. n_cell > 0) where_status = c_loc(status(1))
    where_stat = c_null_ptr
    if (present(stat)) where_stat = c_loc(stat(1))
    base = c_null_ptr
    strides = 1
    if (n_cell > 0) then
      if (size(q, 1) > 1) strides(1) = (address(c_loc(q(2, 1))) - address(c_loc(q(1, 1)))) / 8
      if (size(q, 2) > 1) strides(2) = (address(c_loc(q(1, 2))) - address(c_loc(q(1, 1)))) / 8
      do i = 1, self%n_field
        base(i) = c_loc(q(1, 1))
        if (cells == 2) base(i) = c_loc(q(i, 1))
        if (cells == 1) base(i) = c_loc(q(1, i))
      end do
    end if
    if (later) then
      code = surr_queue(self%plan, self%work, n_cell, dt, base, spread(strides(cells), 1, int(self%n_field)), &
                        SURR_F64, c_null_ptr, where_status, where_stat)
    else
      code = surr_step(self%plan, self%work, n_cell, dt, base, spread(strides(cells), 1, int(self%n_field)), &
                       SURR_F64, c_null_ptr, where_status, where_stat)
    end if
  end function

  !> Advances all cells that wait.
  function stepper_flush(self, stat) result(code)
    class(surrogate_stepper), intent(inout) :: self
    integer(c_int64_t), intent(out), optional, target :: stat(SURR_NSTAT)
    integer(c_int32_t) :: code
    type(c_ptr) :: where_stat
    self%own_message = ''
    where_stat = c_null_ptr
    if (present(stat)) where_stat = c_loc(stat(1))
    code = surr_flush(self%work, where_stat)
  end function

  function stepper_message(self) result(text)
    class(surrogate_stepper), intent(in) :: self
    character(len=1024) :: text
    text = self%own_message
    if (text == '') text = surr_error_text()
  end function

  subroutine stepper_close(self)
    class(surrogate_stepper), intent(inout) :: self
    self%failure = surr_work_free(self%work)
    self%failure = surr_plan_free(self%plan)
    self%failure = surr_model_close(self%model)
    self%model = c_null_ptr
    self%plan = c_null_ptr
    self%work = c_null_ptr
    self%n_field = 0
    self%own_message = ''
  end subroutine

  subroutine copy(self, other)
    class(surrogate_stepper), intent(inout) :: self
    class(surrogate_stepper), intent(in) :: other
    if (.not. c_associated(self%plan, other%plan)) call self%close()
  end subroutine

  subroutine finalize(self)
    type(surrogate_stepper), intent(inout) :: self
    call self%close()
  end subroutine

  function address(pointer) result(number)
    type(c_ptr), intent(in) :: pointer
    integer(c_intptr_t) :: number
    number = transfer(pointer, number)
  end function
end module surrogate
