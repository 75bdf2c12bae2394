!> The KROME shim on ism-molecular: the results of the engine, species by species, and KROME's calls as hosts write them.
program test_krome
  use, intrinsic :: iso_c_binding
  use, intrinsic :: ieee_arithmetic, only: ieee_is_nan, ieee_quiet_nan, ieee_value
  use checks, only: check, conclude
  use krome_main
  use krome_user
  use surrogate, only: surrogate_stepper, SURR_CELL_BAD_INPUT, SURR_E_IO, SURR_OK
  implicit none

  !> Where the species of x are among the variables of the model.
  integer, parameter :: place(krome_nmols) = [1, 2, 3, 5, 8, 4, 6, 9, 7], n = 64
  real(c_double), parameter :: dt = 1e5_c_double * krome_seconds_per_year

  call krome_use_model('no-such-model', 1e-3_c_double)
  call test_init()
  call test_against_engine()
  call test_forms_and_parameters()
  call test_bad_cell()
  call test_threads()
  call test_parameters_of_threads()
  call krome_close()
  call conclude('KROME shim')

contains

  subroutine test_init()
    integer :: ierr
    call krome_init(ierr)
    call check(ierr == SURR_E_IO, 'an unknown model is told')
    call krome_use_model('ism-molecular', 1e-3_c_double)
    call krome_init()
  end subroutine

  !> Warm gas of density 1 to 100.
  function gas(i) result(x)
    integer, intent(in) :: i
    real(c_double) :: x(krome_nmols)
    x = 1e-20_c_double
    x(krome_idx_H) = 1
    x(krome_idx_HE) = 0.10846_c_double
    x(krome_idx_Hj) = 1e-2_c_double
    x(krome_idx_H2) = 1e-3_c_double
    x = x * 100.0_c_double**(real(i, c_double) / n)
    x(krome_idx_E) = krome_get_electrons(x)
  end function

  subroutine test_against_engine()
    type(surrogate_stepper) :: engine
    real(c_double) :: x(krome_nmols), before(krome_nmols), Tgas, q(krome_nmols + 1)
    character(len=16) :: list(krome_nmols)
    integer :: i
    call engine%open('ism-molecular', 1e-3_c_double)
    call check(engine%commit() == SURR_OK, 'engine')
    do i = 1, n
      x = gas(i)
      before = x
      Tgas = 1e4_c_double
      q(place) = x
      q(krome_nmols + 1) = Tgas
      call check(engine%step(q, dt) == SURR_OK, 'engine')
      call krome(x(:), Tgas, dt)
      call check(all(abs(q(place) - x) <= 0) .and. abs(q(krome_nmols + 1) - Tgas) <= 0, 'the bits of the engine')
      call check(abs(krome_get_Hnuclei(x) / krome_get_Hnuclei(before) - 1) < 1e-12_c_double, 'hydrogen is conserved')
      call check(abs(krome_get_electrons(x) / x(krome_idx_E) - 1) < 1e-9_c_double, 'charge is conserved')
      call check(Tgas < 1e4_c_double, 'the gas cools')
    end do
    list = krome_get_names()
    call check(list(krome_idx_HEjj) == 'HE++' .and. sum(nint(krome_get_charges())) == 3, 'names and charges')
    call check(abs(krome_get_mu(gas(1)) - 1.27_c_double) < 0.05_c_double, 'molecular weight')
  end subroutine

  subroutine test_forms_and_parameters()
    real(c_double) :: x(krome_nmols), y(krome_nmols), rho, T1, T2
    integer :: ierr
    x = gas(20)
    rho = krome_get_rho(x)
    y = krome_n2x(x, rho)
    call check(abs(sum(y) - 1) < 1e-12_c_double, 'mass fractions')
    T1 = 1e4_c_double
    T2 = T1
    call krome(x(:), T1, dt)
    call krome(y(:), rho, T2, dt, ierr)
    call check(ierr == 0 .and. abs(T1 / T2 - 1) < 1e-6_c_double, 'number densities and mass fractions')
    call check(all(abs(krome_x2n(y, rho) / x - 1) < 1e-5_c_double), 'number densities and mass fractions, species')
    call differs(1, 1e-15_c_double)
    call differs(2, 1e2_c_double)
    call differs(3, 0.1_c_double)
    call differs(4, 3.0_c_double)
    call differs(5, 1e3_c_double)
  end subroutine

  !> A setter changes the result, and its old value brings it back.
  subroutine differs(k, val)
    integer, intent(in) :: k
    real(c_double), intent(in) :: val
    real(c_double) :: x(krome_nmols, 3), T(3)
    integer :: i
    T = 3e3_c_double
    do i = 1, 3
      x(:, i) = gas(n)
      if (i == 2 .and. k == 1) call krome_set_user_crate(val)
      if (i == 2 .and. k == 2) call krome_set_user_G0(val)
      if (i == 2 .and. k == 3) call krome_set_Z(val)
      if (i == 2 .and. k == 4) call krome_set_dust_to_gas(val)
      if (i == 2 .and. k == 5) call krome_set_clump(val)
      call krome(x(:, i), T(i), 10 * dt)
      krome_user_parameters = -1
      krome_shared_parameters = -1
    end do
    call check(abs(x(krome_idx_H2, 2) / x(krome_idx_H2, 1) - 1) > 1e-4_c_double, &
               'the setter counts: ' // krome_parameter_names(k))
    call check(all(abs(x(:, 3) - x(:, 1)) <= 0), 'and stays where it is')
  end subroutine

  subroutine test_bad_cell()
    real(c_double) :: x(krome_nmols), before(krome_nmols), T
    integer :: ierr
    x = gas(1)
    before = x
    T = ieee_value(T, ieee_quiet_nan)
    krome_n_failed = 0
    call krome(x, T, dt)
    call krome(x, T, dt, ierr)
    call check(krome_n_failed == 2 .and. ierr == SURR_CELL_BAD_INPUT .and. ieee_is_nan(T), 'NaN')
    T = 1e4_c_double
    call krome(x, T, -dt, ierr)
    call check(ierr < 0, 'negative dt')
    call check(all(abs(x - before) <= 0) .and. krome_n_failed == 3, 'left as it was')
  end subroutine

  !> Threads of the host give the bits of one.
  subroutine test_threads()
    real(c_double) :: x(krome_nmols, n), y(krome_nmols, n), T(n), S(n)
    integer :: i
    T = 2e4_c_double
    S = T
    do i = 1, n
      x(:, i) = gas(i)
      y(:, i) = gas(i)
      call krome(x(:, i), T(i), dt)
    end do
    !$omp parallel do num_threads(2) schedule(dynamic)
    do i = 1, n
      call krome(y(:, i), S(i), dt)
    end do
    !$omp end parallel do
    call check(all(abs(x - y) <= 0) .and. all(abs(S - T) <= 0), 'two threads as one')
  end subroutine

  !> Metallicity, dust and clumping are those of all threads, whoever sets them; what is called user is each thread's.
  subroutine test_parameters_of_threads()
    real(c_double) :: x(krome_nmols, 4), T(4), alone(krome_nmols), T_alone
    integer :: i
    T = 3e3_c_double
    call krome_set_Z(0.1_c_double)
    call krome_set_dust_to_gas(0.1_c_double)
    call krome_set_clump(10.0_c_double)
    call krome_set_user_crate(1e-15_c_double)
    !$omp parallel do num_threads(4) schedule(static, 1)
    do i = 1, 4
      x(:, i) = gas(n)
      call krome_set_user_crate(1e-15_c_double * i)
      call krome(x(:, i), T(i), 10 * dt)
      if (i > 1) krome_user_parameters = -1
    end do
    !$omp end parallel do
    do i = 1, 4
      alone = gas(n)
      T_alone = 3e3_c_double
      call krome_set_user_crate(1e-15_c_double * i)
      call krome(alone, T_alone, 10 * dt)
      call check(all(abs(x(:, i) - alone) <= 0) .and. abs(T(i) - T_alone) <= 0, 'every thread has what all share')
    end do
    call check(abs(T(1) / T(4) - 1) > 1e-6_c_double, 'and its own cosmic rays')
    krome_user_parameters = -1
    krome_shared_parameters = -1
  end subroutine
end program test_krome
