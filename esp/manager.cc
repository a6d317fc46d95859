#include "esp/manager.h"

#include "esp/engine.h"
#include "esp/ipsec_mb.h"

namespace millrace::esp {

namespace {

template <class Initialise>
Manager make(const Initialise& initialise) {
  Manager manager{alloc_mb_mgr(0)};
  if (manager == nullptr) return nullptr;
  initialise(manager.get());
  return imb_get_errno(manager.get()) == 0 ? std::move(manager) : nullptr;
}

}  // namespace

void ManagerDeleter::operator()(IMB_MGR* manager) const {
  free_mb_mgr(manager);
}

Manager best_manager() {
  return make([](IMB_MGR* manager) { init_mb_mgr_auto(manager, nullptr); });
}

Manager sse_manager() {
  return make([](IMB_MGR* manager) { init_mb_mgr_sse(manager); });
}

Result<std::unique_ptr<Engine>> Engine::make() {
  Manager best = best_manager();
  Manager sse = sse_manager();
  if (best == nullptr || sse == nullptr) return Error{"IPsec-MB has no code for this processor"};
  return std::unique_ptr<Engine>(new Engine(std::move(best), std::move(sse)));
}

}  // namespace millrace::esp
