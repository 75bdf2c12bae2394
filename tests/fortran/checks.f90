!> What the Fortran tests share: what is not true is printed and counted, and the program ends accordingly.
module checks
  use surrogate, only: surr_error_text
  implicit none
  private
  public :: check, conclude

  integer :: n_failures = 0

contains

  subroutine check(condition, what)
    logical, intent(in) :: condition
    character(len=*), intent(in) :: what
    if (condition) return
    n_failures = n_failures + 1
    print '(4a)', 'not true: ', what, '; last error: ', trim(surr_error_text())
  end subroutine

  !> Says how the test went; stops the program if anything was not true.
  subroutine conclude(name)
    character(len=*), intent(in) :: name
    print '(2a)', name, merge(': passed', ': FAILED', n_failures == 0)
    if (n_failures > 0) error stop 1
  end subroutine
end module
