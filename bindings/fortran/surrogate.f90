!> The C interface of surrogate.h for Fortran 2003 and later: compile this one file with your own compiler.
!>
!> Every function is that of the header, which documents it; all return its integer codes. A string goes in as
!> (text, len(text)) and comes out padded with blanks through the functions surr_*_text below. Arguments that C allows
!> to be NULL are of type c_ptr: pass c_loc(x) of a target, or c_null_ptr.
module surrogate
  use, intrinsic :: iso_c_binding, only: c_char, c_double, c_funptr, c_int32_t, c_int64_t, c_null_char, c_ptr
  implicit none
  private

  integer(c_int32_t), parameter, public :: SURR_ABI_MAJOR = 1, SURR_ABI_MINOR = 0

  integer(c_int32_t), parameter, public :: &
    SURR_OK = 0, SURR_FLAGGED = 1, SURR_E_ARG = -1, SURR_E_ABI = -2, SURR_E_IO = -3, SURR_E_FORMAT = -4, &
    SURR_E_CHECKSUM = -5, SURR_E_NOMEM = -6, SURR_E_FIELD = -7, SURR_E_UNITS = -8, SURR_E_STATE = -9, &
    SURR_E_CELLS = -10, SURR_E_BUSY = -12, SURR_E_UNSUPPORTED = -13

  integer(c_int32_t), parameter, public :: &
    SURR_CELL_NET = 0, SURR_CELL_OUTSIDE = 1, SURR_CELL_ERROR = 2, SURR_CELL_AUDIT = 3, SURR_CELL_SOLVER = 4, &
    SURR_CELL_MASKED = 32, SURR_CELL_BAD_INPUT = 33, SURR_CELL_FAILED = 34, SURR_CELL_QUEUED = 35

  integer(c_int32_t), parameter, public :: &
    SURR_Q_NUMBER_DENSITY = 1, SURR_Q_MASS_DENSITY = 2, SURR_Q_MASS_FRACTION = 3, SURR_Q_PER_H = 4, &
    SURR_Q_PER_H_TIMES_RHO = 5, SURR_Q_TEMPERATURE = 10, SURR_Q_T_OVER_MU = 11, SURR_Q_EINT_MASS = 12, &
    SURR_Q_EINT_VOLUME = 13, SURR_Q_STATE = 15, SURR_Q_DENSITY = 20, SURR_Q_NH = 21, SURR_Q_PARAM = 30, &
    SURR_Q_DT = 31, SURR_Q_MASK = 32

  integer(c_int32_t), parameter, public :: SURR_F_COMPACT = 0, SURR_F_INDEXED = 1, SURR_F_INPUT = 2
  integer(c_int32_t), parameter, public :: SURR_F64 = 0, SURR_F32 = 1
  integer(c_int32_t), parameter, public :: SURR_NSTAT = 8, SURR_NPHASE = 4, SURR_NAUDIT = 240, &
       SURR_PHASE_GATHER = 0, SURR_PHASE_NET = 1, SURR_PHASE_SOLVER = 2, SURR_PHASE_SCATTER = 3

  public :: surr_abi_check, surr_version, surr_last_error, surr_status_name
  public :: surr_model_open, surr_model_register, surr_model_close, surr_model_selftest, surr_model_count
  public :: surr_model_evaluate
  public :: surr_model_field, surr_model_dt_range, surr_model_info
  public :: surr_plan_create, surr_plan_free, surr_plan_units, surr_plan_field
  public :: surr_plan_set_i, surr_plan_set_d, surr_plan_set_s, surr_plan_commit
  public :: surr_work_create, surr_work_free, surr_work_seconds, surr_work_audit, surr_audit_quantile
  public :: surr_step, surr_step_block, surr_step_cell
  public :: surr_error_text, surr_version_text, surr_status_text

  interface
    function surr_abi_check(major, minor) bind(c) result(code)
      import :: c_int32_t
      integer(c_int32_t), value :: major, minor
      integer(c_int32_t) :: code
    end function

    function surr_version(buf, len) bind(c) result(code)
      import :: c_int32_t, c_char
      character(kind=c_char), intent(out) :: buf(*)
      integer(c_int32_t), value :: len
      integer(c_int32_t) :: code
    end function

    function surr_last_error(buf, len) bind(c) result(code)
      import :: c_int32_t, c_char
      character(kind=c_char), intent(out) :: buf(*)
      integer(c_int32_t), value :: len
      integer(c_int32_t) :: code
    end function

    function surr_status_name(status, buf, len) bind(c) result(code)
      import :: c_int32_t, c_char
      integer(c_int32_t), value :: status
      character(kind=c_char), intent(out) :: buf(*)
      integer(c_int32_t), value :: len
      integer(c_int32_t) :: code
    end function

    function surr_model_open(name_or_path, len, model) bind(c) result(code)
      import :: c_int32_t, c_char, c_ptr
      character(kind=c_char), intent(in) :: name_or_path(*)
      integer(c_int32_t), value :: len
      type(c_ptr), intent(out) :: model
      integer(c_int32_t) :: code
    end function

    function surr_model_register(entry_point) bind(c) result(code)
      import :: c_int32_t, c_funptr
      type(c_funptr), value :: entry_point
      integer(c_int32_t) :: code
    end function

    function surr_model_close(model) bind(c) result(code)
      import :: c_int32_t, c_ptr
      type(c_ptr), value :: model
      integer(c_int32_t) :: code
    end function

    function surr_model_selftest(model, max_error) bind(c) result(code)
      import :: c_int32_t, c_ptr, c_double
      type(c_ptr), value :: model
      real(c_double), intent(out) :: max_error
      integer(c_int32_t) :: code
    end function

    function surr_model_evaluate(model, n_cell, y, params, f, jacobian) bind(c) result(code)
      import :: c_int32_t, c_int64_t, c_ptr, c_double
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
      import :: c_int32_t, c_ptr, c_char, c_double
      type(c_ptr), value :: model
      integer(c_int32_t), value :: i, name_len, unit_len
      character(kind=c_char), intent(out) :: name(*), unit(*)
      real(c_double), intent(out) :: lower, upper, val
      integer(c_int32_t), intent(out) :: is_param
      integer(c_int32_t) :: code
    end function

    function surr_model_dt_range(model, lower, upper) bind(c) result(code)
      import :: c_int32_t, c_ptr, c_double
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
      import :: c_int32_t, c_ptr, c_double
      type(c_ptr), value :: plan
      real(c_double), value :: length_cm, density_gcc, time_s
      integer(c_int32_t) :: code
    end function

    !> Slots are counted from 0.
    function surr_plan_field(plan, name, name_len, quantity, extra_scale, flags, slot) bind(c) result(code)
      import :: c_int32_t, c_ptr, c_char, c_double
      type(c_ptr), value :: plan
      character(kind=c_char), intent(in) :: name(*)
      integer(c_int32_t), value :: name_len, quantity, flags
      real(c_double), value :: extra_scale
      integer(c_int32_t), intent(out) :: slot
      integer(c_int32_t) :: code
    end function

    function surr_plan_set_i(plan, key, key_len, v) bind(c) result(code)
      import :: c_int32_t, c_int64_t, c_ptr, c_char
      type(c_ptr), value :: plan
      character(kind=c_char), intent(in) :: key(*)
      integer(c_int32_t), value :: key_len
      integer(c_int64_t), value :: v
      integer(c_int32_t) :: code
    end function

    function surr_plan_set_d(plan, key, key_len, v) bind(c) result(code)
      import :: c_int32_t, c_ptr, c_char, c_double
      type(c_ptr), value :: plan
      character(kind=c_char), intent(in) :: key(*)
      integer(c_int32_t), value :: key_len
      real(c_double), value :: v
      integer(c_int32_t) :: code
    end function

    function surr_plan_set_s(plan, key, key_len, v, v_len) bind(c) result(code)
      import :: c_int32_t, c_ptr, c_char
      type(c_ptr), value :: plan
      character(kind=c_char), intent(in) :: key(*), v(*)
      integer(c_int32_t), value :: key_len, v_len
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
      import :: c_int32_t, c_ptr, c_double
      type(c_ptr), value :: work
      real(c_double), intent(out) :: seconds(*)
      integer(c_int32_t) :: code
    end function

    function surr_work_audit(work, count) bind(c) result(code)
      import :: c_int32_t, c_int64_t, c_ptr
      type(c_ptr), value :: work
      integer(c_int64_t), intent(out) :: count(*)
      integer(c_int32_t) :: code
    end function

    function surr_audit_quantile(count, q, error) bind(c) result(code)
      import :: c_int32_t, c_int64_t, c_double
      integer(c_int64_t), intent(in) :: count(*)
      real(c_double), value :: q
      real(c_double), intent(out) :: error
      integer(c_int32_t) :: code
    end function

    !> base(k) = c_loc(first element of slot k - 1); index: c_loc of integer(c_int32_t) cell numbers, from 1 on after
    !> surr_plan_set_i(plan, 'index_base', 10, 1_c_int64_t); status: c_loc of integer(c_int8_t); stat: c_loc of
    !> integer(c_int64_t).
    function surr_step(plan, work, n_cell, dt, base, stride, dtype, index, status, stat) bind(c) result(code)
      import :: c_int32_t, c_int64_t, c_ptr, c_double
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
      import :: c_int32_t, c_int64_t, c_ptr, c_double
      type(c_ptr), value :: plan, work
      integer(c_int64_t), value :: n_cell
      real(c_double), value :: dt
      real(c_double), intent(inout) :: q(*)
      integer(c_int64_t), value :: cell_stride, slot_stride
      type(c_ptr), value :: index, status, stat
      integer(c_int32_t) :: code
    end function

    function surr_step_cell(plan, work, dt, q, status) bind(c) result(code)
      import :: c_int32_t, c_ptr, c_double
      type(c_ptr), value :: plan, work
      real(c_double), value :: dt
      real(c_double), intent(inout) :: q(*)
      integer(c_int32_t), intent(out) :: status
      integer(c_int32_t) :: code
    end function
  end interface

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
end module surrogate
