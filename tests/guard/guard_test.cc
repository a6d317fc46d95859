// The guard itself: what it forbids to a worker ends the process, and nothing else does. Run with the guard
// preloaded.
#include <cxxabi.h>
#include <gtest/gtest.h>
#include <pthread.h>

#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <stdexcept>
#include <string>
#include <thread>

extern "C" [[gnu::weak]] void millrace_guard_enter_worker();
extern "C" [[gnu::weak]] void millrace_guard_leave_worker();

namespace {

// So that no compiler sees that memory is not used and leaves the allocation out.
volatile std::uintptr_t sink;
void use(const void* memory) {
  sink = reinterpret_cast<std::uintptr_t>(memory);
}

std::mutex mutex;
std::shared_mutex shared;
std::condition_variable condition;
void* const early = std::malloc(1);

struct Case {
  const char* what;  // as the guard names it
  void (*act)();
};
const Case kForbidden[] = {
    {"malloc", [] { use(std::malloc(100)); }},
    {"calloc", [] { use(std::calloc(10, 10)); }},
    {"realloc", [] { use(std::realloc(early, 5000)); }},
    {"free", [] { std::free(early); }},
    {"aligned_alloc", [] { use(std::aligned_alloc(64, 64)); }},
    {"posix_memalign",
     [] {
       void* memory = nullptr;
       use(posix_memalign(&memory, 64, 64) == 0 ? memory : nullptr);
     }},
    {"malloc", [] { use(new int[100]); }},
    {"malloc", [] { use(std::string(1000, 'x').data()); }},
    {"pthread_mutex_lock", [] { mutex.lock(); }},
    {"pthread_mutex_trylock", [] { sink = mutex.try_lock() ? 1 : 0; }},
    {"pthread_mutex_unlock", [] { mutex.unlock(); }},
    {"pthread_rwlock_rdlock", [] { shared.lock_shared(); }},
    {"pthread_rwlock_wrlock", [] { shared.lock(); }},
    {"pthread_cond_signal", [] { condition.notify_one(); }},
    {"__cxa_throw",
     [] {
       static char thrown[64];
       abi::__cxa_throw(thrown, const_cast<std::type_info*>(&typeid(int)), nullptr);
     }},
};

void enter_and(void (*act)()) {
  millrace_guard_enter_worker();
  act();
  millrace_guard_leave_worker();
}

class WorkerGuard : public testing::Test {
 protected:
  void SetUp() override { ASSERT_NE(&millrace_guard_enter_worker, nullptr) << "the guard is not preloaded"; }
};
using WorkerGuardDeathTest = WorkerGuard;

TEST_F(WorkerGuardDeathTest, EndsAWorkerThatCallsWhatIsForbidden) {
  for (const Case& c : kForbidden) {
    EXPECT_EXIT(enter_and(c.act), testing::KilledBySignal(SIGABRT),
                std::string("worker guard: a worker thread called ") + c.what + "\n");
  }
}

TEST_F(WorkerGuardDeathTest, ShowsWhereItWas) {
  EXPECT_EXIT(enter_and(kForbidden[0].act), testing::KilledBySignal(SIGABRT), "guard_test");
}

TEST_F(WorkerGuard, LeavesAWorkerAloneThatBehaves) {
  millrace_guard_enter_worker();
  std::uint64_t sum = 0;
  for (std::uint64_t i = 0; i < 1000; ++i) sum += i * i;
  sink = sum;
  millrace_guard_leave_worker();
}

TEST_F(WorkerGuard, LeavesOtherThreadsAlone) {
  millrace_guard_enter_worker();
  millrace_guard_leave_worker();
  for (const Case& c : kForbidden) {
    if (c.what == std::string("__cxa_throw") || c.what == std::string("free")) continue;
    if (c.what == std::string("realloc") || c.what == std::string("pthread_rwlock_wrlock")) continue;
    c.act();
    if (c.what == std::string("pthread_mutex_lock")) mutex.unlock();
  }
  shared.unlock_shared();
  EXPECT_THROW(throw std::runtime_error("as ever"), std::runtime_error);
  // While one thread is a worker, another may do what it likes.
  std::thread worker([] {
    millrace_guard_enter_worker();
    for (int i = 0; i < 1000; ++i) sink = static_cast<std::uintptr_t>(i);
    millrace_guard_leave_worker();
  });
  for (int i = 0; i < 1000; ++i) use(std::make_unique<std::string>(100, 'x').get());
  worker.join();
}

}  // namespace
