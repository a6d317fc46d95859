// The forms of a batch lookup that need more than the baseline instruction set; internal to lpm/.
//
// Their code has target attributes and lies in anonymous namespaces: an inline function that two files share
// is merged by the linker, and must not be the one that an old processor cannot run.
#pragma once

#include "lpm/lookup.h"

namespace millrace::lpm::forms {

template <class L>
using Form = BatchLookup<typename BatchAddress<typename L::Address>::type>;

template <class L>
Form<L> avx2();
template <class L>
Form<L> avx512();

}  // namespace millrace::lpm::forms
