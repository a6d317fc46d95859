// IPsec-MB's header, which has to be told that this is Linux, or gcm_key_data would not be aligned.
#pragma once

#ifndef LINUX
#define LINUX
#endif
#include <intel-ipsec-mb.h>
