#include "surrogate.h"
