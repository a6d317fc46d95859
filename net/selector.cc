#include "net/selector.h"

#include <string_view>

namespace millrace {

std::string Selector::to_string() const {
  std::string text;
  const auto say = [&text](std::string_view what, const std::string& value) {
    text.append(text.empty() ? "" : " ").append(what).append(" ").append(value);
  };
  const auto say_ports = [&say](std::string_view what, const PortRange& ports) {
    const std::string last = ports.first == ports.last ? "" : "-" + std::to_string(ports.last);
    if (!ports.is_any()) say(what, std::to_string(ports.first) + last);
  };
  if (local) say("local", millrace::to_string(*local));
  if (remote) say("remote", millrace::to_string(*remote));
  if (protocol) say("protocol", std::to_string(*protocol));
  say_ports("local_port", local_ports);
  say_ports("remote_port", remote_ports);
  return text.empty() ? "any" : text;
}

}  // namespace millrace
