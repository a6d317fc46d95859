// Watches what worker threads call. Preloaded into millraced or a test, it ends the process with a backtrace
// when a thread that entered the worker's loop allocates, frees, locks, waits on a condition or throws.
//
//   LD_PRELOAD=build-test/tests/guard/libworker_guard.so build-test/controlplane/millraced -c ...
//
// Nothing in here allocates: a flag of the initial-exec kind (its place is fixed when the library is loaded),
// the allocator by glibc's own names, and the other functions found when the library starts.
#include <cxxabi.h>
#include <dlfcn.h>
#include <execinfo.h>
#include <pthread.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <typeinfo>

extern "C" {
// The allocator behind malloc and its kin: there from the first instruction on, no dlsym() is needed for it.
void* __libc_malloc(std::size_t size);                           // NOLINT(bugprone-reserved-identifier)
void* __libc_calloc(std::size_t count, std::size_t size);        // NOLINT(bugprone-reserved-identifier)
void* __libc_realloc(void* old, std::size_t size);               // NOLINT(bugprone-reserved-identifier)
void* __libc_memalign(std::size_t alignment, std::size_t size);  // NOLINT(bugprone-reserved-identifier)
void __libc_free(void* memory);                                  // NOLINT(bugprone-reserved-identifier)
}

namespace {

__thread bool on_worker __attribute__((tls_model("initial-exec"))) = false;

void say(const char* text) {
  // Whatever becomes of it: the process ends next.
  [[maybe_unused]] const auto written = write(STDERR_FILENO, text, std::strlen(text));
}

[[noreturn]] void end(const char* what) {
  on_worker = false;  // what follows may allocate
  say("worker guard: a worker thread called ");
  say(what);
  say("\n");
  void* frames[64];
  backtrace_symbols_fd(frames, backtrace(frames, 64), STDERR_FILENO);
  std::abort();
}

inline void check(const char* what) {
  if (on_worker) [[unlikely]]
    end(what);
}

// The next definition of a function, found once. dlsym() itself may allocate and lock: never on a worker,
// because the check comes first, and all are looked up when the library starts.
template <class Function>
Function* next(Function*& kept, const char* name) {
  if (kept == nullptr) [[unlikely]]
    kept = reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
  return kept;
}

}  // namespace

extern "C" {

[[gnu::visibility("default")]] void millrace_guard_enter_worker() {
  void* frame[1];
  backtrace(frame, 1);  // loads what it needs now, where it may
  on_worker = true;
}
[[gnu::visibility("default")]] void millrace_guard_leave_worker() {
  on_worker = false;
}

void* malloc(std::size_t size) {
  check("malloc");
  return __libc_malloc(size);
}
void* calloc(std::size_t count, std::size_t size) {
  check("calloc");
  return __libc_calloc(count, size);
}
void* realloc(void* old, std::size_t size) {
  check("realloc");
  return __libc_realloc(old, size);
}
void free(void* memory) {
  check("free");
  __libc_free(memory);
}
void* memalign(std::size_t alignment, std::size_t size) {
  check("memalign");
  return __libc_memalign(alignment, size);
}
void* aligned_alloc(std::size_t alignment, std::size_t size) {
  check("aligned_alloc");
  return __libc_memalign(alignment, size);
}
int posix_memalign(void** memory, std::size_t alignment, std::size_t size) {
  check("posix_memalign");
  if (alignment % sizeof(void*) != 0 || (alignment & (alignment - 1)) != 0 || alignment == 0) return EINVAL;
  void* made = __libc_memalign(alignment, size);
  if (made == nullptr) return ENOMEM;
  *memory = made;
  return 0;
}

// A function that goes on to its next definition after the check.
#define WATCHED(name, parameters, arguments)     \
  static int(*next_##name) parameters = nullptr; \
  int name parameters {                          \
    check(#name);                                \
    return next(next_##name, #name) arguments;   \
  }
WATCHED(pthread_mutex_lock, (pthread_mutex_t * mutex), (mutex))
WATCHED(pthread_mutex_trylock, (pthread_mutex_t * mutex), (mutex))
WATCHED(pthread_mutex_unlock, (pthread_mutex_t * mutex), (mutex))
WATCHED(pthread_rwlock_rdlock, (pthread_rwlock_t * lock), (lock))
WATCHED(pthread_rwlock_tryrdlock, (pthread_rwlock_t * lock), (lock))
WATCHED(pthread_rwlock_wrlock, (pthread_rwlock_t * lock), (lock))
WATCHED(pthread_rwlock_trywrlock, (pthread_rwlock_t * lock), (lock))
WATCHED(pthread_rwlock_unlock, (pthread_rwlock_t * lock), (lock))
WATCHED(pthread_cond_wait, (pthread_cond_t * condition, pthread_mutex_t* mutex), (condition, mutex))
WATCHED(pthread_cond_timedwait, (pthread_cond_t * condition, pthread_mutex_t* mutex, const timespec* until),
        (condition, mutex, until))
WATCHED(pthread_cond_signal, (pthread_cond_t * condition), (condition))
WATCHED(pthread_cond_broadcast, (pthread_cond_t * condition), (condition))
#undef WATCHED

using Throw = void(void*, std::type_info*, void (*)(void*));
static Throw* next_throw = nullptr;

[[noreturn]] void __cxa_throw(void* thrown, std::type_info* type, void (*destroy)(void*)) {  // NOLINT
  check("__cxa_throw");
  next(next_throw, "__cxa_throw")(thrown, type, destroy);
  __builtin_unreachable();
}

}  // extern "C"

namespace {

[[gnu::constructor]] void find_all() {
#define FIND(name) next(next_##name, #name)
  FIND(pthread_mutex_lock);
  FIND(pthread_mutex_trylock);
  FIND(pthread_mutex_unlock);
  FIND(pthread_rwlock_rdlock);
  FIND(pthread_rwlock_tryrdlock);
  FIND(pthread_rwlock_wrlock);
  FIND(pthread_rwlock_trywrlock);
  FIND(pthread_rwlock_unlock);
  FIND(pthread_cond_wait);
  FIND(pthread_cond_timedwait);
  FIND(pthread_cond_signal);
  FIND(pthread_cond_broadcast);
#undef FIND
  next(next_throw, "__cxa_throw");
}

}  // namespace
