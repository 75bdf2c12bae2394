!> A blast wave in a clumpy interstellar medium, with nine species: a small hydro code as libsurrogate's hosts are.
!>
!> 2-D Euler equations, periodic box, slabs of rows over the ranks of MPI: MUSCL with the MC limiter, HLLC (Toro 2009,
!> Riemann Solvers, 10.4), Heun's method in time; chemistry and cooling by operator splitting. Options are read from the
!> namelist &run in the file given as argument; chemistry = 'net' or 'solver' calls surrogate_stepper on rows of the
!> grid and shares what needs the solver among the ranks, 'krome' calls the KROME shim cell by cell, 'none' leaves the gas
!> adiabatic.
module gas
  use mpi
  use, intrinsic :: iso_c_binding, only: c_int32_t, c_int64_t, dp => c_double
  use krome_user, only: n_s => krome_nmols, masses => krome_get_mass, x2n => krome_x2n
  implicit none

  !> u(:, i, j): density, momenta, total energy per volume, then partial densities in KROME's order of species.
  integer, parameter :: i_mx = 2, i_my = 3, i_e = 4, i_s = 5, n_var = 4 + n_s
  character(len=4), parameter :: species(n_s) = ['e-  ', 'H-  ', 'H   ', 'He  ', 'H2  ', 'H+  ', 'He+ ', 'H2+ ', 'He++']
  real(dp), parameter :: hydrogen(n_s) = [0, 1, 1, 0, 2, 1, 0, 2, 0], helium(n_s) = [0, 0, 0, 1, 0, 0, 1, 0, 1], &
    charge(n_s) = [-1, -1, 0, 0, 0, 1, 1, 1, 2]
  real(dp), parameter :: gamma = 5 / 3.0_dp, k_boltzmann = 1.380648e-16_dp
  real(dp), parameter :: length = 3.0857e18_dp, density = 1.67353251819e-24_dp, time = 3.15576e10_dp ! [pc, m_H, kyr]
  real(dp), parameter :: energy_density = density * (length / time)**2                                ! [erg/cm^3]
  real(dp), parameter :: t_floor = 10                        ! [K]
  integer, parameter :: ghosts = 2
  integer :: nx, ny, rank, n_ranks                        ! ny: rows of this rank
  real(dp), allocatable :: u(:, :, :)
  real(dp) :: dx

contains

  pure function internal_energy(q) result(e)
    real(dp), intent(in) :: q(n_var)
    real(dp) :: e
    e = q(i_e) - 0.5_dp * (q(i_mx)**2 + q(i_my)**2) / q(1)
  end function

  function number_densities(q) result(n)
    real(dp), intent(in) :: q(n_var)
    real(dp) :: n(n_s)
    n = x2n(q(i_s:), density)
  end function

  function temperature(q) result(t)
    real(dp), intent(in) :: q(n_var)
    real(dp) :: t
    t = (gamma - 1) * internal_energy(q) * energy_density / (k_boltzmann * sum(number_densities(q)))
  end function

  !> Ghost cells: periodic in x, from the neighbours in y.
  subroutine exchange()
    integer :: n, above, below, ierr, status(MPI_STATUS_SIZE)
    u(:, 1 - ghosts:0, :) = u(:, nx + 1 - ghosts:nx, :)
    u(:, nx + 1:nx + ghosts, :) = u(:, 1:ghosts, :)
    n = size(u(:, :, 1:ghosts))
    above = modulo(rank + 1, n_ranks)
    below = modulo(rank - 1, n_ranks)
    call MPI_Sendrecv(u(1, 1 - ghosts, ny + 1 - ghosts), n, MPI_DOUBLE_PRECISION, above, 0, &
                      u(1, 1 - ghosts, 1 - ghosts), n, MPI_DOUBLE_PRECISION, below, 0, MPI_COMM_WORLD, status, ierr)
    call MPI_Sendrecv(u(1, 1 - ghosts, 1), n, MPI_DOUBLE_PRECISION, below, 1, &
                      u(1, 1 - ghosts, ny + 1), n, MPI_DOUBLE_PRECISION, above, 1, MPI_COMM_WORLD, status, ierr)
  end subroutine

  function over_ranks(x, operation) result(y)
    real(dp), intent(in) :: x(:)
    integer, intent(in) :: operation
    real(dp) :: y(size(x))
    integer :: ierr
    call MPI_Allreduce(x, y, size(x), MPI_DOUBLE_PRECISION, operation, MPI_COMM_WORLD, ierr)
  end function

  !> Mass, total energy, H and He nuclei: per unit length of the third dimension, in code units.
  function totals() result(t)
    real(dp) :: t(4), n(n_s)
    integer :: i, j
    t = 0
    do j = 1, ny
      do i = 1, nx
        n = number_densities(u(:, i, j))
        t = t + [u(1, i, j), u(i_e, i, j), sum(hydrogen * n), sum(helium * n)] * dx**2
      end do
    end do
    t = over_ranks(t, MPI_SUM)
  end function

  !> How far cells have drifted, at most: sum of mass fractions, proportion of He (0: its mean), charge per particle.
  function drift_in_cells() result(d)
    real(dp) :: d(3), n(n_s), mean(4)
    integer :: i, j
    d = 0
    mean = totals()
    do j = 1, ny
      do i = 1, nx
        n = number_densities(u(:, i, j))
        d = max(d, abs([sum(u(i_s:, i, j)) / u(1, i, j) - 1, &
                        sum(helium * n) / sum(hydrogen * n) * mean(3) / mean(4) - 1, sum(charge * n) / sum(n)]))
      end do
    end do
    d = over_ranks(d, MPI_MAX)
  end function
end module gas

module euler
  use gas
  implicit none
  private
  public :: advance_hydro, time_step

contains

  function time_step(cfl) result(dt)
    real(dp), intent(in) :: cfl
    real(dp) :: dt, fastest(1)
    integer :: i, j
    fastest = 0
    do j = 1, ny
      do i = 1, nx
        fastest = max(fastest, maxval(abs(u(i_mx:i_my, i, j))) / u(1, i, j) &
                      + sqrt(gamma * (gamma - 1) * internal_energy(u(:, i, j)) / u(1, i, j)))
      end do
    end do
    fastest = over_ranks(fastest, MPI_MAX)
    dt = cfl * dx / fastest(1)
  end function

  !> Heun: the mean of the start and of two Euler steps. Returns the energy that the temperature floor added.
  function advance_hydro(dt) result(added)
    real(dp), intent(in) :: dt
    real(dp) :: start(n_var, nx, ny), added
    start = u(:, 1:nx, 1:ny)
    call euler_step(dt)
    added = 0.5_dp * keep_warm()
    call euler_step(dt)
    u(:, 1:nx, 1:ny) = 0.5_dp * (start + u(:, 1:nx, 1:ny))
    added = added + keep_warm()
  end function

  !> In cold gas at high Mach numbers the internal energy is a small difference of large ones.
  function keep_warm() result(added)
    real(dp) :: added, missing
    integer :: i, j
    added = 0
    do j = 1, ny
      do i = 1, nx
        missing = t_floor * k_boltzmann * sum(number_densities(u(:, i, j))) / ((gamma - 1) * energy_density) &
                  - internal_energy(u(:, i, j))
        if (missing > 0) u(i_e, i, j) = u(i_e, i, j) + missing
        added = added + max(missing, 0.0_dp) * dx**2
      end do
    end do
  end function

  subroutine euler_step(dt)
    real(dp), intent(in) :: dt
    real(dp) :: along_x(n_var, 0:nx), along_y(n_var, 0:ny), change(n_var, nx, ny)
    integer :: i, j
    call exchange()
    do j = 1, ny
      call fluxes(u(:, :, j), nx, i_mx, i_my, along_x)
      change(:, :, j) = along_x(:, 0:nx - 1) - along_x(:, 1:nx)
    end do
    do i = 1, nx
      call fluxes(u(:, i, :), ny, i_my, i_mx, along_y)
      change(:, i, :) = change(:, i, :) + along_y(:, 0:ny - 1) - along_y(:, 1:ny)
    end do
    u(:, 1:nx, 1:ny) = u(:, 1:nx, 1:ny) + dt / dx * change
  end subroutine

  !> Fluxes f(:, i) between cells i and i + 1 of a row; m and t are the indices of normal and tangential momentum.
  subroutine fluxes(q, n, m, t, f)
    integer, intent(in) :: n, m, t
    real(dp), intent(in) :: q(n_var, 1 - ghosts:n + ghosts)
    real(dp), intent(out) :: f(n_var, 0:n)
    real(dp) :: w(n_var, 1 - ghosts:n + ghosts), left(n_var, 0:n + 1), right(n_var, 0:n + 1), s(n_var)
    integer :: i
    do i = 1 - ghosts, n + ghosts
      w(1, i) = q(1, i)
      w(2, i) = q(m, i) / q(1, i)
      w(3, i) = q(t, i) / q(1, i)
      w(4, i) = (gamma - 1) * internal_energy(q(:, i))
      w(i_s:, i) = q(i_s:, i) / q(1, i)
    end do
    do i = 0, n + 1
      s = slope(w(:, i) - w(:, i - 1), w(:, i + 1) - w(:, i))
      left(:, i) = w(:, i) - 0.5_dp * s
      right(:, i) = w(:, i) + 0.5_dp * s
    end do
    do i = 0, n
      s = hllc(right(:, i), left(:, i + 1))
      f(1, i) = s(1)
      f(m, i) = s(2)
      f(t, i) = s(3)
      f(i_e:, i) = s(i_e:)
    end do
  end subroutine

  !> MC limiter. All mass fractions share one factor, so that whatever linear combination of them is constant in space
  !> (their sum, the elements, the charge) stays constant.
  pure function slope(back, ahead) result(s)
    real(dp), intent(in) :: back(n_var), ahead(n_var)
    real(dp) :: s(n_var), factor(n_var)
    where (back * ahead > 0)
      factor = min(1.0_dp, 4 * min(abs(back), abs(ahead)) / abs(back + ahead))
    elsewhere
      factor = merge(1.0_dp, 0.0_dp, back + ahead == 0)
    end where
    factor(i_s:) = minval(factor(i_s:))
    s = factor * 0.5_dp * (back + ahead)
  end function

  !> Flux between two states (density, normal and tangential velocity, pressure, mass fractions).
  pure function hllc(l, r) result(f)
    real(dp), intent(in) :: l(n_var), r(n_var)
    real(dp) :: f(n_var), sl, sr, sm
    sl = min(l(2) - sqrt(gamma * l(4) / l(1)), r(2) - sqrt(gamma * r(4) / r(1)))
    sr = max(l(2) + sqrt(gamma * l(4) / l(1)), r(2) + sqrt(gamma * r(4) / r(1)))
    sm = (r(4) - l(4) + l(1) * l(2) * (sl - l(2)) - r(1) * r(2) * (sr - r(2))) &
         / (l(1) * (sl - l(2)) - r(1) * (sr - r(2)))
    if (sm >= 0) then
      f = one_side(l, min(sl, 0.0_dp), sm)
    else
      f = one_side(r, max(sr, 0.0_dp), sm)
    end if
  end function

  !> Flux of one side, with its outer wave of speed s (0: it does not reach the face) and the contact of speed sm.
  pure function one_side(w, s, sm) result(f)
    real(dp), intent(in) :: w(n_var), s, sm
    real(dp) :: f(n_var), e, rho, jump
    e = w(4) / (gamma - 1) + 0.5_dp * w(1) * (w(2)**2 + w(3)**2)
    f(1:4) = [w(1) * w(2), w(1) * w(2)**2 + w(4), w(1) * w(2) * w(3), (e + w(4)) * w(2)]
    if (abs(s) > 0) then
      rho = w(1) * (s - w(2)) / (s - sm)
      jump = e / w(1) + (sm - w(2)) * (sm + w(4) / (w(1) * (s - w(2))))
      f(1:4) = f(1:4) + s * ([rho, rho * sm, rho * w(3), rho * jump] - [w(1), w(1) * w(2), w(1) * w(3), e])
    end if
    f(i_s:) = f(1) * w(i_s:)
  end function
end module euler

module thermochemistry
  use gas
  use krome_main
  use surrogate
  use surrogate_mpi
  use, intrinsic :: iso_c_binding, only: c_loc, c_ptr
  implicit none
  private
  public :: open_chemistry, advance_chemistry, harvested, counts, imbalance

  character(len=8) :: kind
  type(surrogate_stepper), save :: stepper
  type(c_ptr), save :: balancer
  integer(c_int64_t) :: counts(0:SURR_NSTAT - 1) = 0      !< of all steps; see surrogate.h
  real(dp) :: imbalance(2) = 0                            !< as cells lie and as they were solved: sums over steps

contains

  !> With a share above 0, so much of the cells that a net is for goes to the files harvest.RANK.npy.
  subroutine open_chemistry(which, model, rtol, harvest, share)
    character(len=*), intent(in) :: which, model, harvest
    real(dp), intent(in) :: rtol, share
    character(len=16) :: suffix
    integer :: k
    kind = which
    select case (kind)
    case ('none')
    case ('krome')
      call krome_use_model(model, rtol)
      call krome_init()
    case ('net', 'solver')
      call stepper%open(trim(model), rtol)
      call stepper%units(length, density, time)
      call stepper%field('T', SURR_Q_EINT_VOLUME)
      do k = 1, n_s
        call stepper%field(species(k), SURR_Q_MASS_DENSITY)
      end do
      call stepper%set('net', merge(1, 0, kind == 'net'))
      write (suffix, '(a,i0,a)') '.', rank, '.npy'
      if (share > 0) call stepper%harvest(share, trim(harvest) // suffix)
      call check(stepper%commit())
      call check(surr_mpi_create(MPI_COMM_WORLD, balancer))
    case default
      error stop 'chemistry is one of none, krome, net, solver'
    end select
  end subroutine

  !> Cells that this rank has harvested.
  function harvested() result(drawn)
    integer(c_int64_t) :: held, drawn
    call check(surr_plan_harvested(stepper%plan, held, drawn))
  end function

  !> Advances the gas by dt; returns the energy it gained.
  function advance_chemistry(dt) result(gained)
    real(dp), intent(in) :: dt
    real(dp) :: gained
    real(dp) :: kinetic(nx, ny), before
    integer :: i, j
    before = sum(u(i_e, 1:nx, 1:ny))
    do j = 1, ny
      do i = 1, nx
        kinetic(i, j) = u(i_e, i, j) - internal_energy(u(:, i, j))
      end do
    end do
    u(i_e, 1:nx, 1:ny) = u(i_e, 1:nx, 1:ny) - kinetic
    if (kind == 'krome') call cell_by_cell(dt)
    if (kind == 'net' .or. kind == 'solver') call row_by_row(dt)
    u(i_e, 1:nx, 1:ny) = u(i_e, 1:nx, 1:ny) + kinetic
    gained = (sum(u(i_e, 1:nx, 1:ny)) - before) * dx**2
  end function

  !> The net takes its cells of every row at once; the others are solved together, where there is least to do.
  subroutine row_by_row(dt)
    real(dp), intent(in) :: dt
    integer(c_int64_t), target :: stat(0:SURR_NSTAT - 1)
    real(dp) :: before, after
    integer :: j
    do j = 1, ny
      call check(stepper%queue(u(i_e:, 1:nx, j), dt, stat=stat))
      counts = counts + stat
    end do
    call check(surr_mpi_flush(balancer, stepper%work, before, after, c_loc(stat)))
    counts = counts + stat
    imbalance = imbalance + [before, after]
  end subroutine

  subroutine cell_by_cell(dt)
    real(dp), intent(in) :: dt
    real(dp) :: n(n_s), T
    integer :: i, j, ierr
    do j = 1, ny
      do i = 1, nx
        n = number_densities(u(:, i, j))
        T = (gamma - 1) * u(i_e, i, j) * energy_density / (k_boltzmann * sum(n))
        call krome(n, T, dt * time, ierr)
        counts(SURR_STAT_CELLS) = counts(SURR_STAT_CELLS) + 1
        if (ierr /= 0) counts(SURR_STAT_UNTOUCHED) = counts(SURR_STAT_UNTOUCHED) + 1
        if (ierr /= 0) cycle
        u(i_e, i, j) = T * k_boltzmann * sum(n) / ((gamma - 1) * energy_density)
        u(i_s:, i, j) = n * masses() / density
      end do
    end do
  end subroutine

  !> A negative code is a mistake in this program; cells that could not be advanced (code 1) stay as they were.
  subroutine check(code)
    integer(c_int32_t), intent(in) :: code
    if (code >= 0) return
    print '(2a)', 'surrogate: ', trim(stepper%message())
    error stop 1
  end subroutine
end module thermochemistry

program hydro
  use gas
  use euler
  use thermochemistry
  use surrogate, only: SURR_NSTAT, SURR_STAT_CELLS, SURR_STAT_NET, SURR_STAT_OUTSIDE, SURR_STAT_SOLVER, &
    SURR_STAT_STEPS, SURR_STAT_UNTOUCHED
  implicit none
  integer :: n = 128, ierr, steps = 0
  real(dp) :: box = 20, t_end = 10, cfl = 0.4_dp, rtol = 0.1_dp, share = 0  ! [pc], [kyr]
  character(len=8) :: chemistry = 'net'
  character(len=4096) :: model = 'ism-molecular', output = 'blast.dat', harvest = 'blast' ! paths
  real(dp) :: t, dt, first(4), last(4), gained, added, seconds(2), clock, sums(1)
  namelist /run/ n, box, t_end, cfl, chemistry, model, rtol, output, harvest, share

  call MPI_Init(ierr)
  call MPI_Comm_rank(MPI_COMM_WORLD, rank, ierr)
  call MPI_Comm_size(MPI_COMM_WORLD, n_ranks, ierr)
  call read_options()
  if (modulo(n, n_ranks) /= 0 .or. n / n_ranks < ghosts) error stop 'n must be a multiple of the number of ranks'
  nx = n
  ny = n / n_ranks
  dx = box / n
  allocate (u(n_var, 1 - ghosts:nx + ghosts, 1 - ghosts:ny + ghosts))
  call set_gas()
  call open_chemistry(chemistry, model, rtol, harvest, share)

  first = totals()
  t = 0
  gained = 0
  added = 0
  seconds = 0
  do while (t < t_end)
    dt = min(time_step(cfl), t_end - t)
    clock = MPI_Wtime()
    sums = over_ranks([advance_hydro(dt)], MPI_SUM)
    added = added + sums(1)
    seconds(1) = seconds(1) + MPI_Wtime() - clock
    clock = MPI_Wtime()
    sums = over_ranks([advance_chemistry(dt)], MPI_SUM)
    gained = gained + sums(1)
    seconds(2) = seconds(2) + MPI_Wtime() - clock
    t = t + dt
    steps = steps + 1
    if (t_end - t < 1e-9_dp * t_end) exit
  end do
  last = totals()
  call report()
  call write_output()
  call MPI_Finalize(ierr)

contains

  subroutine read_options()
    character(len=4096) :: file
    integer :: unit
    call get_command_argument(1, file)
    if (file == '') return
    open (newunit=unit, file=file, status='old', action='read')
    read (unit, nml=run)
    close (unit)
  end subroutine

  !> Clumps of neutral gas in pressure equilibrium with what is between them, and a hot, ionised centre.
  subroutine set_gas()
    integer :: i, j, k
    real(dp), parameter :: pi = acos(-1.0_dp)
    real(dp) :: x, y, clumps, h, ionised, t_gas, number(n_s)
    do j = 1, ny
      do i = 1, nx
        x = (i - 0.5_dp) / n
        y = (rank * ny + j - 0.5_dp) / n
        clumps = 0
        do k = 1, 8
          clumps = clumps + cos(2 * pi * ((2 + modulo(3 * k, 5)) * x + (1 + modulo(7 * k, 6)) * y) + 2.4_dp * k**2)
        end do
        h = exp(0.5_dp * clumps)
        t_gas = 8000 / h
        ionised = 0.1_dp / (1 + h)
        if (hypot(x - 0.5_dp, y - 0.5_dp) < 0.06_dp) then
          t_gas = 5e6_dp
          ionised = 0.999_dp
        end if
        number = 1e-6_dp * h
        number(3) = (1 - ionised) * h
        number(6) = ionised * h
        number(5) = 1e-3_dp * (1 - ionised) * h
        number(4) = 0.107169_dp * (number(2) + number(3) + 2 * number(5) + number(6) + 2 * number(8)) - 2e-6_dp * h
        number(1) = number(6) + number(7) + number(8) + 2 * number(9) - number(2)
        u(i_s:, i, j) = number * masses() / density
        u(1, i, j) = sum(u(i_s:, i, j))
        u(i_mx:i_my, i, j) = 0
        u(i_e, i, j) = t_gas * k_boltzmann * sum(number) / ((gamma - 1) * energy_density)
      end do
    end do
  end subroutine

  !> What is conserved, and what it cost. The program fails if it is not conserved.
  subroutine report()
    real(dp) :: drift(7), cells, solved, all(0:SURR_NSTAT - 1), kept(1)
    drift = [last(1) / first(1) - 1, (last(2) - first(2) - gained - added) / first(2), last(3) / first(3) - 1, &
             last(4) / first(4) - 1, drift_in_cells()]
    all = over_ranks(real(counts, dp), MPI_SUM)
    solved = sum(all(SURR_STAT_OUTSIDE:SURR_STAT_SOLVER))
    cells = real(n, dp)**2 * steps
    kept = 0
    if (share > 0 .and. (chemistry == 'net' .or. chemistry == 'solver')) kept = over_ranks([real(harvested(), dp)], MPI_SUM)
    seconds = over_ranks(seconds, MPI_MAX)
    if (rank == 0) then
      print '(a,i0,a,i0,a,i0,a,f0.2,a)', trim(chemistry) // ': ', n, '^2 cells, ', steps, ' steps on ', n_ranks, &
        ' ranks, ', t, ' kyr'
      print '(4(a,es9.1))', 'drift of mass', drift(1), ', energy', drift(2), ', H', drift(3), ', He', drift(4)
      print '(3(a,es9.1))', 'in single cells, sum of fractions', drift(5), ', He per H', drift(6), ', charge', drift(7)
      print '(a,f5.1,a,es8.1)', 'radiated ', abs(100 * gained / first(2)), ' % of the energy, added by the floor ', &
        added / first(2)
      if (solved + all(SURR_STAT_NET) > 0) print '(3(a,f5.1),a,i0)', 'net ', &
        100 * all(SURR_STAT_NET) / all(SURR_STAT_CELLS), ' %, solver ', 100 * solved / all(SURR_STAT_CELLS), ' % in ', &
        all(SURR_STAT_STEPS) / max(solved, 1.0_dp), ' steps each, untouched ', nint(all(SURR_STAT_UNTOUCHED))
      if (kept(1) > 0) print '(i0,3a)', nint(kept(1)), ' cells harvested, in ', trim(harvest), '.*.npy'
      if (sum(imbalance) > 0) print '(2(a,f0.2))', 'imbalance of the solver''s work ', imbalance(1) / steps, ', shared ', &
        imbalance(2) / steps
      print '(a,f6.2,a,f6.2,a)', 'hydro ', 1e6 * seconds(1) * n_ranks / cells, ' us/cell, chemistry ', &
        1e6 * seconds(2) * n_ranks / cells, ' us/cell'
    end if
    if (.not. all_small(drift) .or. all(SURR_STAT_UNTOUCHED) > 0) error stop 'not conserved, or a cell could not be advanced'
  end subroutine

  pure function all_small(drift) result(answer)
    real(dp), intent(in) :: drift(:)
    logical :: answer
    answer = maxval(abs(drift)) < 1e-9_dp
  end function

  !> n, then density [m_H/cm^3], T [K] and the fraction of H nuclei in H+ and in H2, each n x n: raw doubles.
  subroutine write_output()
    real(dp) :: field(nx, ny, 4), whole(nx, ny, 4, n_ranks), nuclei, number(n_s)
    integer :: i, j, k, unit
    do j = 1, ny
      do i = 1, nx
        number = number_densities(u(:, i, j))
        nuclei = number(2) + number(3) + 2 * number(5) + number(6) + 2 * number(8)
        field(i, j, :) = [u(1, i, j), temperature(u(:, i, j)), number(6) / nuclei, 2 * number(5) / nuclei]
      end do
    end do
    call MPI_Gather(field, size(field), MPI_DOUBLE_PRECISION, whole, size(field), MPI_DOUBLE_PRECISION, 0, &
                    MPI_COMM_WORLD, ierr)
    if (rank /= 0) return
    open (newunit=unit, file=output, access='stream', form='unformatted', status='replace', action='write')
    write (unit) real(n, dp), ((whole(:, :, k, j), j=1, n_ranks), k=1, 4)
    close (unit)
  end subroutine
end program hydro
