#include "surrogate_balance.h"
