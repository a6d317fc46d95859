// A TCP listener on "address:port", as configurations name one.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <string>

#include "net/result.h"

namespace millrace::controlplane {

// `what` is the setting that says so, for the error.
inline Result<void> listen_tcp(boost::asio::ip::tcp::acceptor& acceptor, const std::string& where,
                               const std::string& what) {
  namespace asio = boost::asio;
  const auto colon = where.rfind(':');
  boost::system::error_code error;
  const auto address = asio::ip::make_address(where.substr(0, colon), error);
  if (error || colon == std::string::npos) return Error{what + ": " + where + " is not an address and port"};
  const asio::ip::tcp::endpoint endpoint(address,
                                         static_cast<unsigned short>(std::stoul(where.substr(colon + 1))));
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(asio::socket_base::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) return Error{what + ": " + where + ": " + error.message()};
  return {};
}

}  // namespace millrace::controlplane
