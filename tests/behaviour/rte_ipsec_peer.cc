#include "rte_ipsec_peer.h"

#include <netinet/in.h>
#include <rte_cryptodev.h>
#include <rte_dev.h>
#include <rte_errno.h>

#include <array>
#include <cstring>
#include <stdexcept>

namespace millrace::behaviour {
namespace {

constexpr unsigned kBurst = 32, kSessions = 64;
constexpr std::uint16_t kNatPort = 4500, kUdpHeader = 8, kReplayWindow = 1024;
// Behind a crypto operation, where librte_ipsec puts an IV for the driver.
constexpr std::uint16_t kIvOffset = sizeof(rte_crypto_op) + sizeof(rte_crypto_sym_op), kIvRoom = 16;

// DPDK's crypto device, with one queue pair. It is there until the program ends.
class Crypto {
 public:
  static Crypto& device() {
    static Crypto only;
    return only;
  }

  [[nodiscard]] std::uint8_t id() const { return id_; }
  [[nodiscard]] rte_mempool* sessions() const { return sessions_; }
  [[nodiscard]] std::array<rte_crypto_op*, kBurst> operations() const {
    std::array<rte_crypto_op*, kBurst> all{};
    must(rte_crypto_op_bulk_alloc(operations_, RTE_CRYPTO_OP_TYPE_SYMMETRIC, all.data(), kBurst) == kBurst,
         "operations");
    return all;
  }
  // Frees the operations; packets whose ICV is wrong are marked, as librte_ipsec wants it.
  void run(std::array<rte_crypto_op*, kBurst>& all, std::uint16_t count) const {
    must(rte_cryptodev_enqueue_burst(id_, 0, all.data(), count) == count, "place in its queue");
    std::array<rte_crypto_op*, kBurst> done{};
    std::uint16_t finished = 0;
    for (unsigned tries = 0; finished < count && tries < 1000; ++tries)
      finished += rte_cryptodev_dequeue_burst(id_, 0, done.data() + finished, count - finished);
    must(finished == count, "end of its work");
    for (std::uint16_t i = 0; i < count; ++i) {
      if (done[i]->status != RTE_CRYPTO_OP_STATUS_SUCCESS)
        done[i]->sym->m_src->ol_flags |= RTE_MBUF_F_RX_SEC_OFFLOAD_FAILED;
    }
    rte_mempool_put_bulk(operations_, reinterpret_cast<void**>(all.data()), kBurst);
  }

 private:
  static constexpr const char* kName = "crypto_aesni_mb";

  Crypto() {
    Lab::pool();  // with it the EAL is there
    must(rte_eal_hotplug_add("vdev", kName, "") == 0, "device");
    id_ = static_cast<std::uint8_t>(rte_cryptodev_get_dev_id(kName));
    const auto socket = static_cast<int>(rte_socket_id());
    sessions_ = rte_cryptodev_sym_session_pool_create(
        "rte_peer_sessions", kSessions, rte_cryptodev_sym_get_private_session_size(id_), 0, 0, socket);
    operations_ = rte_crypto_op_pool_create("rte_peer_ops", RTE_CRYPTO_OP_TYPE_SYMMETRIC, 2 * kBurst, 0,
                                            kIvRoom, socket);
    must(sessions_ != nullptr && operations_ != nullptr, "memory");
    rte_cryptodev_config config{};
    config.socket_id = socket;
    config.nb_queue_pairs = 1;
    must(rte_cryptodev_configure(id_, &config) == 0, "configuration");
    rte_cryptodev_qp_conf queue{};
    queue.nb_descriptors = 2 * kBurst;
    queue.mp_session = sessions_;
    must(rte_cryptodev_queue_pair_setup(id_, 0, &queue, socket) == 0, "queue pair");
    must(rte_cryptodev_start(id_) == 0, "start");
  }
  static void must(bool done, const std::string& what) {
    if (!done) throw std::runtime_error(std::string(kName) + " has no " + what);
  }

  std::uint8_t id_ = 0;
  rte_mempool *sessions_ = nullptr, *operations_ = nullptr;
};

template <class Key>
void set_key(Key& key, const Bytes& from) {
  key.data = from.data();
  key.length = static_cast<std::uint16_t>(from.size());
}

// The algorithm as DPDK has it, in the order in which it is gone through.
struct Transforms {
  std::array<rte_crypto_sym_xform, 2> all{};

  Transforms(const PeerSa& sa, bool seal) : sa_(sa), of_(esp::traits(sa.keys.algorithm)), seal_(seal) {
    if (of_.cipher == esp::Cipher::gmac) {
      auth(all[0]);
    } else if (of_.integrity == esp::Integrity::none) {
      aead(all[0]);
    } else {
      cipher(all[seal ? 0 : 1]);
      auth(all[seal ? 1 : 0]);
      all[0].next = &all[1];
    }
  }
  Transforms(const Transforms&) = delete;
  Transforms& operator=(const Transforms&) = delete;

 private:
  template <class Iv>
  static void set_iv(Iv& iv, std::uint16_t length) {
    iv.offset = kIvOffset;
    iv.length = length;
  }
  void aead(rte_crypto_sym_xform& to) const {
    to.type = RTE_CRYPTO_SYM_XFORM_AEAD;
    to.aead.op = seal_ ? RTE_CRYPTO_AEAD_OP_ENCRYPT : RTE_CRYPTO_AEAD_OP_DECRYPT;
    to.aead.algo =
        of_.cipher == esp::Cipher::gcm ? RTE_CRYPTO_AEAD_AES_GCM : RTE_CRYPTO_AEAD_CHACHA20_POLY1305;
    set_key(to.aead.key, sa_.keys.cipher);
    set_iv(to.aead.iv, 12);
    to.aead.digest_length = of_.icv;
    to.aead.aad_length = sa_.keys.extended_sequence ? 12 : 8;
  }
  void cipher(rte_crypto_sym_xform& to) const {
    to.type = RTE_CRYPTO_SYM_XFORM_CIPHER;
    to.cipher.op = seal_ ? RTE_CRYPTO_CIPHER_OP_ENCRYPT : RTE_CRYPTO_CIPHER_OP_DECRYPT;
    to.cipher.algo = of_.cipher == esp::Cipher::cbc ? RTE_CRYPTO_CIPHER_AES_CBC : RTE_CRYPTO_CIPHER_NULL;
    set_key(to.cipher.key, sa_.keys.cipher);
    set_iv(to.cipher.iv, of_.iv());
  }
  void auth(rte_crypto_sym_xform& to) const {
    to.type = RTE_CRYPTO_SYM_XFORM_AUTH;
    to.auth.op = seal_ ? RTE_CRYPTO_AUTH_OP_GENERATE : RTE_CRYPTO_AUTH_OP_VERIFY;
    to.auth.algo = hash();
    const bool gmac = of_.cipher == esp::Cipher::gmac;
    set_key(to.auth.key, gmac ? sa_.keys.cipher : sa_.keys.integrity);
    if (gmac) set_iv(to.auth.iv, 12);
    to.auth.digest_length = of_.icv;
  }
  [[nodiscard]] rte_crypto_auth_algorithm hash() const {
    switch (of_.integrity) {
      case esp::Integrity::hmac_sha1:
        return RTE_CRYPTO_AUTH_SHA1_HMAC;
      case esp::Integrity::hmac_sha256:
        return RTE_CRYPTO_AUTH_SHA256_HMAC;
      case esp::Integrity::hmac_sha384:
        return RTE_CRYPTO_AUTH_SHA384_HMAC;
      case esp::Integrity::hmac_sha512:
        return RTE_CRYPTO_AUTH_SHA512_HMAC;
      case esp::Integrity::none:
        break;
    }
    return RTE_CRYPTO_AUTH_AES_GMAC;
  }

  const PeerSa& sa_;
  const esp::Traits& of_;
  bool seal_;
};

rte_ipsec_sa_prm parameters(const PeerSa& sa, const RteSa::Settings& settings, Transforms& transforms) {
  rte_ipsec_sa_prm made{};
  rte_security_ipsec_xform& ipsec = made.ipsec_xform;
  ipsec.spi = sa.spi;
  if (!sa.keys.salt.empty()) std::memcpy(&ipsec.salt, sa.keys.salt.data(), sizeof ipsec.salt);
  ipsec.options.esn = sa.keys.extended_sequence ? 1 : 0;
  // rte_ipsec_sa_init leaves the offsets of an SA out that opens and has it. Such an SA need not know of it:
  // what is before ESP is said with each packet.
  ipsec.options.udp_encap = settings.udp && settings.way == RteSa::Way::seal ? 1 : 0;
  ipsec.direction =
      settings.way == RteSa::Way::seal ? RTE_SECURITY_IPSEC_SA_DIR_EGRESS : RTE_SECURITY_IPSEC_SA_DIR_INGRESS;
  ipsec.proto = RTE_SECURITY_IPSEC_SA_PROTO_ESP;
  ipsec.mode = RTE_SECURITY_IPSEC_SA_MODE_TUNNEL;
  ipsec.tunnel.type =
      settings.outer.at(0) >> 4 == 6 ? RTE_SECURITY_IPSEC_TUNNEL_IPV6 : RTE_SECURITY_IPSEC_TUNNEL_IPV4;
  ipsec.replay_win_sz = kReplayWindow;
  ipsec.esn.value = settings.number;
  ipsec.udp.sport = ipsec.udp.dport = kNatPort;
  made.crypto_xform = transforms.all.data();
  made.tun.hdr_len = static_cast<std::uint8_t>(settings.outer.size());
  made.tun.next_proto = settings.inner_ipv6 ? IPPROTO_IPV6 : IPPROTO_IPIP;
  made.tun.hdr = settings.outer.data();
  return made;
}

Error refused(const std::string& who, int error) {
  return {who + " refuses: " + std::strerror(error)};
}

}  // namespace

Result<std::unique_ptr<RteSa>> RteSa::make(const PeerSa& sa, const Settings& settings) {
  Transforms transforms(sa, settings.way == Way::seal);
  const rte_ipsec_sa_prm wanted = parameters(sa, settings, transforms);
  const int size = rte_ipsec_sa_size(&wanted);
  if (size < 0) return refused("librte_ipsec", -size);
  std::unique_ptr<RteSa> made(new RteSa);
  const std::size_t room = RTE_ALIGN_CEIL(static_cast<std::size_t>(size), RTE_CACHE_LINE_SIZE);
  made->sa_.reset(static_cast<rte_ipsec_sa*>(std::aligned_alloc(RTE_CACHE_LINE_SIZE, room)));
  std::memset(static_cast<void*>(made->sa_.get()), 0, room);
  const int done = rte_ipsec_sa_init(made->sa_.get(), &wanted, static_cast<std::uint32_t>(size));
  if (done < 0) return refused("librte_ipsec", -done);
  const Crypto& crypto = Crypto::device();
  made->session_.sa = made->sa_.get();
  made->session_.type = RTE_SECURITY_ACTION_TYPE_NONE;
  made->session_.crypto.dev_id = crypto.id();
  made->session_.crypto.ses = static_cast<rte_cryptodev_sym_session*>(
      rte_cryptodev_sym_session_create(crypto.id(), transforms.all.data(), crypto.sessions()));
  if (made->session_.crypto.ses == nullptr) return refused("crypto_aesni_mb", rte_errno);
  if (const int error = rte_ipsec_session_prepare(&made->session_); error != 0)
    return refused("librte_ipsec", -error);
  if (settings.way == Way::open)
    made->before_esp_ = static_cast<std::uint16_t>(settings.outer.size() + (settings.udp ? kUdpHeader : 0));
  return made;
}

RteSa::~RteSa() {
  if (session_.crypto.ses != nullptr)
    rte_cryptodev_sym_session_free(session_.crypto.dev_id, session_.crypto.ses);
}

std::vector<Bytes> RteSa::work(const std::vector<Bytes>& packets) {
  std::vector<rte_mbuf*> buffers;  // those that it refuses come last
  for (const Bytes& each : packets) {
    rte_mbuf* m = buffers.emplace_back(make_mbuf(each));
    m->l2_len = 0;
    m->l3_len = before_esp_ & 0x1ffU;
  }
  const Crypto& crypto = Crypto::device();
  auto operations = crypto.operations();
  const auto count = static_cast<std::uint16_t>(buffers.size());
  const std::uint16_t prepared =
      rte_ipsec_pkt_crypto_prepare(&session_, buffers.data(), operations.data(), count);
  crypto.run(operations, prepared);
  const std::uint16_t good = rte_ipsec_pkt_process(&session_, buffers.data(), prepared);
  std::vector<Bytes> all;
  for (std::uint16_t i = 0; i < good; ++i) all.push_back(bytes_of(buffers[i]));
  rte_pktmbuf_free_bulk(buffers.data(), count);
  return all;
}

}  // namespace millrace::behaviour
