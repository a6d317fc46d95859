// IPsec-MB's manager: which of its code runs, and the state of what is under way. One thread uses one.
#pragma once

#include <memory>

struct IMB_MGR;

namespace millrace::esp {

struct ManagerDeleter {
  void operator()(IMB_MGR* manager) const;
};
using Manager = std::unique_ptr<IMB_MGR, ManagerDeleter>;

// Of the best code that the processor runs; nothing where there is no memory, or it runs none. Keys that are
// expanded for AES-GCM are good for managers of the same code alone.
Manager best_manager();

// Of SSE's code, which uses SHA-NI: for few packets it is the faster one for HMAC.
Manager sse_manager();

}  // namespace millrace::esp
