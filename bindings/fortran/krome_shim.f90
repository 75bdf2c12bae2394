!> Modules krome_user and krome_main in the shape of the code that KROME generates (Grassi et al. 2014, MNRAS 439,
!> 2386), over libsurrogate: a host patched for KROME relinks with this file and surrogate.f90 in place of KROME's.
!>
!>     call krome_init()
!>     call krome(x(:), Tgas, dt)            ! x(krome_nmols) [cm^-3], Tgas [K], dt [s]; in and out
!>     call krome(x(:), rho, Tgas, dt)       ! x: mass fractions, rho [g/cm^3]            (KROME's -useX)
!>
!> Species, one to one:
!>
!>     krome_idx_   E   Hk  H   HE  H2  Hj  HEj  H2j  HEjj        in KROME's order: electron, anion, neutrals by mass,
!>     number       1   2   3   4   5   6   7    8    9           ions by charge and mass
!>     model        e-  H-  H   He  H2  H+  He+  H2+  He++
!>
!> Honoured, as in KROME 14 shared by all threads: krome_set_Z (model parameter Z), krome_set_dust_to_gas (d2g),
!> krome_set_clump (clump); and of each OpenMP thread its own, as all that KROME calls user: krome_set_user_crate
!> (zeta [1/s]) and, of our own, krome_set_user_G0 (G0 [Habing]). What KROME would take from its photo bins and opacities
!> (krome_set_photoBinJ, krome_set_user_Av, ...) is not here, so that a host that relies on it does not link: the models
!> know one radiation field, of strength G0. Cooling and heating are always on.
!>
!> Differences. Where KROME stops the program, a cell that cannot be advanced is left as it was, ierr (optional, last)
!> is its status (33, 34), and krome_n_failed of the thread counts it. One cell per call leaves the lanes of the
!> processor empty: where the host allows it, surrogate_stepper with arrays costs a fraction.
!>
!> Which model: krome_use_model before krome_init, else the environment variables SURROGATE_MODEL and SURROGATE_RTOL,
!> else ism-molecular with the tolerance 1e-4 that KROME has.
module krome_user
  use, intrinsic :: iso_c_binding, only: c_double
  implicit none
  public
  private :: c_double

  integer, parameter :: krome_nmols = 9, krome_nspec = krome_nmols + 4 !< KROME counts CR, g, Tgas, dummy as species
  integer, parameter :: krome_idx_E = 1, krome_idx_Hk = 2, krome_idx_H = 3, krome_idx_HE = 4, krome_idx_H2 = 5, &
    krome_idx_Hj = 6, krome_idx_HEj = 7, krome_idx_H2j = 8, krome_idx_HEjj = 9, krome_idx_Tgas = 12
  real(c_double), parameter :: krome_boltzmann_erg = 1.380648e-16_c_double, krome_p_mass = 1.67262158e-24_c_double, &
    krome_seconds_per_year = 365 * 24 * 3600.0_c_double, krome_gamma = 5 / 3.0_c_double

  !> Of the model: those of each thread first, then the shared ones; below 0: the model's own value.
  character(len=5), parameter :: krome_parameter_names(5) = ['zeta ', 'G0   ', 'Z    ', 'd2g  ', 'clump']
  integer, parameter :: krome_n_user = 2
  real(c_double), save :: krome_user_parameters(krome_n_user) = -1, krome_shared_parameters(krome_n_user + 1:5) = -1
  !$omp threadprivate(krome_user_parameters)

  character(len=16), parameter, private :: names(krome_nmols) = [character(len=16) :: &
    'E', 'H-', 'H', 'HE', 'H2', 'H+', 'HE+', 'H2+', 'HE++']
  !> As in the models; particles, so that charge and nuclei are conserved when forms are converted.
  real(c_double), parameter, private :: masses(krome_nmols) = [ & ! [g]
    9.10938188e-28_c_double, 1.67444345638e-24_c_double, 1.67353251819e-24_c_double, 6.69206503638e-24_c_double, &
    3.34706503638e-24_c_double, 1.67262158e-24_c_double, 6.69115409819e-24_c_double, 3.34615409819e-24_c_double, &
    6.69024316e-24_c_double]
  integer, parameter, private :: charges(krome_nmols) = [-1, -1, 0, 0, 0, 1, 1, 1, 2]
  integer, parameter, private :: hydrogen(krome_nmols) = [0, 1, 1, 0, 2, 1, 0, 2, 0]

contains

  subroutine krome_set_user_crate(rate)
    real(c_double), intent(in) :: rate
    krome_user_parameters(1) = rate
  end subroutine

  subroutine krome_set_Z(metallicity)
    real(c_double), intent(in) :: metallicity
    krome_shared_parameters(3) = metallicity
  end subroutine

  subroutine krome_set_dust_to_gas(ratio)
    real(c_double), intent(in) :: ratio
    krome_shared_parameters(4) = ratio
  end subroutine

  subroutine krome_set_user_G0(strength)
    real(c_double), intent(in) :: strength
    krome_user_parameters(2) = strength
  end subroutine

  subroutine krome_set_clump(factor)
    real(c_double), intent(in) :: factor
    krome_shared_parameters(5) = factor
  end subroutine

  !> What the setters have given this thread for parameter k, -1 if nothing.
  function krome_get_parameter(k) result(val)
    integer, intent(in) :: k
    real(c_double) :: val
    if (k <= krome_n_user) then
      val = krome_user_parameters(k)
    else
      val = krome_shared_parameters(k)
    end if
  end function

  function krome_get_names() result(list)
    character(len=16) :: list(krome_nmols)
    list = names
  end function

  function krome_get_mass() result(mass)
    real(c_double) :: mass(krome_nmols)
    mass = masses
  end function

  function krome_get_charges() result(charge)
    real(c_double) :: charge(krome_nmols)
    charge = charges
  end function

  !> Mass density [g/cm^3] of the number densities n.
  function krome_get_rho(n) result(rho)
    real(c_double), intent(in) :: n(krome_nmols)
    real(c_double) :: rho
    rho = sum(masses * n)
  end function

  !> Mean molecular weight.
  function krome_get_mu(n) result(mu)
    real(c_double), intent(in) :: n(krome_nmols)
    real(c_double) :: mu
    mu = sum(masses * n) / sum(n) / krome_p_mass
  end function

  !> Hydrogen nuclei [cm^-3].
  function krome_get_Hnuclei(n) result(nuclei)
    real(c_double), intent(in) :: n(krome_nmols)
    real(c_double) :: nuclei
    nuclei = sum(hydrogen * n)
  end function

  !> Electrons that make the rest neutral [cm^-3].
  function krome_get_electrons(n) result(electrons)
    real(c_double), intent(in) :: n(krome_nmols)
    real(c_double) :: electrons
    electrons = sum(charges(2:) * n(2:))
  end function

  !> Number densities [cm^-3] from mass fractions, and back.
  function krome_x2n(x, rho) result(n)
    real(c_double), intent(in) :: x(krome_nmols), rho
    real(c_double) :: n(krome_nmols)
    n = x * rho / masses
  end function

  function krome_n2x(n, rho) result(x)
    real(c_double), intent(in) :: n(krome_nmols), rho
    real(c_double) :: x(krome_nmols)
    x = n * masses / rho
  end function
end module krome_user

module krome_main
  use, intrinsic :: iso_c_binding, only: c_associated, c_char, c_double, c_int32_t, c_int64_t, c_null_char, c_null_ptr, &
    c_ptr
  use krome_user, only: krome_get_parameter, krome_nmols, krome_parameter_names, krome_n2x, krome_x2n
  use surrogate
  implicit none
  private
  public :: krome_init, krome, krome_use_model, krome_close, krome_n_failed

  interface krome
    module procedure advance_densities, advance_fractions
  end interface

  !> Variables of the model in the order of x, then T.
  character(len=4), parameter :: names(krome_nmols + 1) = &
    ['e-  ', 'H-  ', 'H   ', 'He  ', 'H2  ', 'H+  ', 'He+ ', 'H2+ ', 'He++', 'T   ']

  character(len=4096), save :: model_name = '' ! a name, or a path
  real(c_double), save :: tolerance = -1
  type(c_ptr), save :: model = c_null_ptr, plan = c_null_ptr
  integer, save :: n_param = 0, param(5) = 0       ! krome_parameter_names of the model, and their values in it
  real(c_double), save :: param_value(5) = 0

  type(c_ptr), save :: work = c_null_ptr           ! of this thread
  integer(c_int64_t), save :: krome_n_failed = 0   !< cells that this thread could not advance
  !$omp threadprivate(work, krome_n_failed)

contains

  !> Before krome_init: the model by name or path, and the relative error per cell and call to accept.
  subroutine krome_use_model(name, rtol)
    character(len=*), intent(in) :: name
    real(c_double), intent(in) :: rtol
    model_name = name
    tolerance = rtol
  end subroutine

  !> Opens the model. Without ierr, a failure stops the program, as it does in KROME. Call it once, outside parallel
  !> regions.
  subroutine krome_init(ierr)
    integer, intent(out), optional :: ierr
    integer(c_int32_t) :: code
    if (c_associated(plan)) call krome_close()
    call read_environment()
    code = surr_model_open(model_name, len_trim(model_name, c_int32_t), model)
    if (code == SURR_OK) code = surr_plan_create(model, plan)
    if (code == SURR_OK) code = declare_fields()
    if (code == SURR_OK) code = surr_plan_set_d(plan, 'rtol', 4, tolerance)
    if (code == SURR_OK) code = surr_plan_commit(plan)
    if (present(ierr)) ierr = code
    if (present(ierr) .or. code == SURR_OK) return
    print '(2a)', 'krome_init: ', trim(surr_error_text())
    error stop 1
  end subroutine

  subroutine read_environment()
    character(len=32) :: text
    integer :: status
    if (model_name == '') call get_environment_variable('SURROGATE_MODEL', model_name)
    if (model_name == '') model_name = 'ism-molecular'
    call get_environment_variable('SURROGATE_RTOL', text, status=status)
    if (tolerance < 0 .and. status == 0) read (text, *, iostat=status) tolerance
    if (tolerance < 0) tolerance = 1e-4_c_double
  end subroutine

  !> The species and T, then those of the five parameters that the model has.
  function declare_fields() result(code)
    integer(c_int32_t) :: code, slot, i, n_state, n_all, is_param
    integer :: j, k
    character(kind=c_char) :: name(64), unit(64)
    character(len=64) :: text
    real(c_double) :: lower, upper, val
    do k = 1, size(names)
      code = surr_plan_field(plan, names(k), len_trim(names(k), c_int32_t), &
                             merge(SURR_Q_TEMPERATURE, SURR_Q_NUMBER_DENSITY, k > krome_nmols), 1.0_c_double, &
                             SURR_F_COMPACT, slot)
      if (code /= SURR_OK) return
    end do
    n_param = 0
    code = surr_model_count(model, n_state, n_all)
    do i = n_state, n_state + n_all - 1
      if (code /= SURR_OK) return
      code = surr_model_field(model, i, name, 64, unit, 64, lower, upper, val, is_param)
      text = ''
      do j = 1, 64
        if (name(j) == c_null_char) exit
        text(j:j) = name(j)
      end do
      do k = 1, 5
        if (text /= krome_parameter_names(k)) cycle
        n_param = n_param + 1
        param(n_param) = k
        param_value(n_param) = val
        code = surr_plan_field(plan, krome_parameter_names(k), len_trim(krome_parameter_names(k), c_int32_t), &
                               SURR_Q_PARAM, 1.0_c_double, SURR_F_INPUT, slot)
      end do
    end do
  end function

  subroutine advance_densities(x, Tgas, dt, ierr)
    real(c_double), intent(inout) :: x(krome_nmols), Tgas
    real(c_double), intent(in) :: dt
    integer, intent(out), optional :: ierr
    real(c_double) :: q(krome_nmols + 6)
    integer(c_int32_t) :: code, status
    integer :: k
    code = SURR_OK
    status = SURR_CELL_BAD_INPUT
    if (.not. c_associated(work)) code = surr_work_create(plan, 1_c_int64_t, work)
    q(:krome_nmols) = x
    q(krome_nmols + 1) = Tgas
    do k = 1, n_param
      q(krome_nmols + 1 + k) = param_value(k)
      if (krome_get_parameter(param(k)) >= 0) q(krome_nmols + 1 + k) = krome_get_parameter(param(k))
    end do
    if (code == SURR_OK) code = surr_step_cell(plan, work, dt, q, status)
    if (code == SURR_OK) then
      x = q(:krome_nmols)
      Tgas = q(krome_nmols + 1)
    else
      krome_n_failed = krome_n_failed + 1
    end if
    if (present(ierr)) ierr = merge(code, merge(0_c_int32_t, status, code == SURR_OK), code < 0)
  end subroutine

  subroutine advance_fractions(x, rho, Tgas, dt, ierr)
    real(c_double), intent(inout) :: x(krome_nmols), Tgas
    real(c_double), intent(in) :: rho, dt
    integer, intent(out), optional :: ierr
    real(c_double) :: n(krome_nmols)
    integer :: code
    n = krome_x2n(x, rho)
    call advance_densities(n, Tgas, dt, code)
    if (code == 0) x = krome_n2x(n, rho)
    if (present(ierr)) ierr = code
  end subroutine

  !> Frees the model and what this thread holds.
  subroutine krome_close()
    integer(c_int32_t) :: code
    code = surr_work_free(work)
    code = surr_plan_free(plan)
    code = surr_model_close(model)
    work = c_null_ptr
    plan = c_null_ptr
    model = c_null_ptr
  end subroutine
end module krome_main
