#include "config/document.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <exception>
#include <istream>
#include <streambuf>
#include <unordered_map>
#include <utility>

namespace millrace::config {
namespace {

Place place_of(const YAML::Mark& mark) {
  return mark.is_null() ? Place{} : Place{mark.line + 1, mark.column + 1};
}

// Ends the reading of a file from inside yaml-cpp's callbacks; never leaves load().
struct Refused {
  Place at;
  std::string message;
  std::string hint;
};

// Hands the text to yaml-cpp and counts how much of it led to no event yet. yaml-cpp 0.7 keeps every token
// from an open '[' on that may turn out to be a key, 200 bytes for each byte of "[[[[": without this limit a
// file of 64 MiB could take all memory. Lines of comments are free, so that any part of a file can be
// commented out.
class Meter final : public std::streambuf {
 public:
  explicit Meter(std::string_view text) {
    char* begin = const_cast<char*>(text.data());  // a get area is never written to
    setg(begin, begin, begin + text.size());
  }
  void event_at(Place at) {
    last_event_ = at;
    since_event_ = 0;
  }

 protected:
  std::streamsize xsgetn(char* to, std::streamsize size) override {
    const std::streamsize taken = std::min<std::streamsize>(size, egptr() - gptr());
    std::for_each(gptr(), gptr() + taken, [this](char c) { count(c); });
    if (since_event_ > kMaxValueBytes)
      throw Refused{last_event_, "what follows here does not end within 1 MiB", "check brackets and quotes"};
    std::copy_n(gptr(), taken, to);
    gbump(static_cast<int>(taken));  // at most kMaxFileBytes
    return taken;
  }

 private:
  enum class Line : std::uint8_t { blank, comment, content };

  void count(char c) {
    if (c == '\n') {
      line_ = Line::blank;
    } else if (line_ == Line::blank && c != ' ' && c != '\t') {
      line_ = c == '#' ? Line::comment : Line::content;
    }
    since_event_ += line_ == Line::content;
  }

  Place last_event_;
  std::size_t since_event_ = 0;
  Line line_ = Line::blank;
};

class TreeBuilder final : public YAML::EventHandler {
 public:
  TreeBuilder(Meter& meter, Problems& problems) : meter_(meter), problems_(problems) {}
  // Where the list or mapping that is being read begins.
  [[nodiscard]] Place innermost() const { return frames_.empty() ? Place{} : frames_.back().node->at; }
  [[nodiscard]] Document take() { return std::move(document_); }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (seen_document_)
      throw Refused{place_of(mark), "a second YAML document: a file holds one configuration", ""};
    seen_document_ = true;
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    if (expects_key()) {
      take_key(mark, "");
    } else {
      Node& node = make(Kind::null, mark, "", anchor);
      // yaml-cpp gives what comes after it, maybe lines below: the key is what people look for.
      if (in_mapping()) node.at = frames_.back().key_at;
      attach(&node);
    }
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    if (expects_key()) {
      check_tag(mark, tag);
      take_key(mark, value);
      return;
    }
    Node& node = make(Kind::scalar, mark, tag, anchor);
    node.text = value;
    node.plain = tag == "?";
    attach(&node);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (expects_key()) throw Refused{place_of(mark), "an alias cannot be a key", ""};
    if (found == anchors_.end()) throw Refused{place_of(mark), "an alias of a key cannot be a value", ""};
    if (found->second->cost == 0)
      throw Refused{place_of(mark), "this alias is a part of what it stands for", ""};
    charge(found->second->cost, mark);
    attach(found->second);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value /*style*/) override {
    open(Kind::sequence, mark, tag, anchor);
  }
  void OnSequenceEnd() override { close(); }

  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value /*style*/) override {
    open(Kind::mapping, mark, tag, anchor);
  }
  void OnMapEnd() override { close(); }

 private:
  // A container whose end has not come yet.
  struct Frame {
    Node* node;
    std::size_t charged_before;
    bool has_key = false;      // a mapping's entry awaits its value
    bool drops_value = false;  // the key was a repeated one
    std::string key;
    Place key_at;
    std::unordered_map<std::string, Place> keys;
  };

  [[nodiscard]] bool in_mapping() const {
    return !frames_.empty() && frames_.back().node->kind == Kind::mapping;
  }
  [[nodiscard]] bool expects_key() const { return in_mapping() && !frames_.back().has_key; }

  static void check_tag(const YAML::Mark& mark, const std::string& tag) {
    // "?" is a plain value and "!" a quoted one: both mean "no tag".
    if (tag.empty() || tag == "?" || tag == "!") return;
    throw Refused{place_of(mark), "the YAML tag " + quoted(tag) + " is not used here", "remove it"};
  }

  void charge(std::size_t nodes, const YAML::Mark& mark) {
    meter_.event_at(place_of(mark));
    charged_ += nodes;
    if (charged_ <= kMaxNodes) return;
    throw Refused{place_of(mark),
                  "more than " + std::to_string(kMaxNodes) + " values, aliases counted in full", ""};
  }

  Node& make(Kind kind, const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    check_tag(mark, tag);
    charge(1, mark);
    Node& node = document_.nodes.emplace_back();
    node.kind = kind;
    node.at = place_of(mark);
    node.cost = kind == Kind::null || kind == Kind::scalar ? 1 : 0;
    if (anchor != 0) anchors_[anchor] = &node;
    return node;
  }

  void open(Kind kind, const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    if (expects_key()) throw Refused{place_of(mark), "a key must be a word, not a list or a mapping", ""};
    if (frames_.size() == kMaxDepth)
      throw Refused{place_of(mark), "nested more than " + std::to_string(kMaxDepth) + " levels deep", ""};
    const std::size_t charged_before = charged_;
    Node& node = make(kind, mark, tag, anchor);
    attach(&node);
    frames_.push_back({.node = &node, .charged_before = charged_before, .key = {}, .key_at = {}, .keys = {}});
  }

  void close() {
    frames_.back().node->cost = static_cast<std::uint32_t>(charged_ - frames_.back().charged_before);
    frames_.pop_back();
  }

  // Of a key that comes twice, the first one counts.
  void take_key(const YAML::Mark& mark, const std::string& key) {
    const Place at = place_of(mark);
    meter_.event_at(at);
    Frame& frame = frames_.back();
    const auto [first, is_new] = frame.keys.emplace(key, at);
    if (!is_new)
      problems_.add(at, "duplicate key " + quoted(key),
                    "it stands on line " + std::to_string(first->second.line) + " already");
    frame.has_key = true;
    frame.drops_value = !is_new;
    frame.key = key;
    frame.key_at = at;
  }

  void attach(const Node* node) {
    if (frames_.empty()) {
      document_.root = node;
      return;
    }
    Frame& frame = frames_.back();
    if (frame.node->kind == Kind::sequence) {
      frame.node->items.push_back(node);
      return;
    }
    if (!frame.drops_value) frame.node->entries.push_back({std::move(frame.key), frame.key_at, node});
    frame.has_key = false;
  }

  Meter& meter_;
  Problems& problems_;
  Document document_;
  std::vector<Frame> frames_;
  std::unordered_map<YAML::anchor_t, const Node*> anchors_;
  std::size_t charged_ = 0;
  bool seen_document_ = false;
};

// The length of the UTF-8 character at the start of `text` (RFC 3629), or 0 if it is none.
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < length) return 0;
  // The second byte's range shuts out overlong forms, surrogates and what lies beyond U+10FFFF.
  const unsigned low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
  const unsigned high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
  if (byte(1) < low || byte(1) > high) return 0;
  for (std::size_t i = 2; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  return length;
}

// YAML allows no control characters but tabs and line ends, yet yaml-cpp 0.7 does not mind them: it takes the
// byte 0x04 for the end of the file and would ignore the rest, guesses UTF-16 from NUL bytes, and counts no
// line at a lone carriage return.
const char* complaint_about(std::string_view rest, std::size_t length) {
  if (length == 0) return "this is not UTF-8 text";
  const auto c = static_cast<unsigned char>(rest.front());
  if (c == '\r')
    return rest.size() > 1 && rest[1] == '\n' ? nullptr : "a carriage return without a line feed";
  if ((c < 0x20 && c != '\t' && c != '\n') || c == 0x7f) return "a control character";
  return nullptr;
}

bool is_clean_text(std::string_view text, Problems& problems) {
  int line = 1;
  std::size_t line_start = 0;
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = utf8_length(text.substr(i));
    if (const char* complaint = complaint_about(text.substr(i), length)) {
      problems.add({line, static_cast<int>(i - line_start) + 1}, complaint, "save the file as UTF-8 text");
      return false;
    }
    if (text[i] == '\n') {
      ++line;
      line_start = i + 1;
    }
    i += length;
  }
  return true;
}

bool is_indented_with_tab(std::string_view text, int line) {
  while (--line > 0) text.remove_prefix(std::min(text.find('\n'), text.size() - 1) + 1);
  const std::string_view indentation = text.substr(0, text.find_first_not_of(" \t"));
  return indentation.find('\t') != std::string_view::npos;
}

std::string syntax_hint(const std::string& message, std::string_view text, Place at) {
  if (is_indented_with_tab(text, at.line)) return "indent with spaces";
  if (message == YAML::ErrorMsg::MAP_VALUE)
    return "put text that holds ': ' in quotes, and check the indentation";
  if (message == YAML::ErrorMsg::END_OF_MAP) return "check the indentation";
  if (message == YAML::ErrorMsg::END_OF_SEQ_FLOW) return "a ']' or a ',' is missing";
  if (message == YAML::ErrorMsg::END_OF_MAP_FLOW) return "a '}' or a ',' is missing";
  return {};
}

Document build(std::string_view text, Problems& problems) {
  Meter meter(text);
  std::istream stream(&meter);
  TreeBuilder builder(meter, problems);
  try {
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const YAML::Exception& error) {
    // Of a bracket that is never closed, yaml-cpp gives the start of the file.
    const Place at = std::max(place_of(error.mark), builder.innermost());
    throw Refused{at, "YAML syntax error: " + error.msg, syntax_hint(error.msg, text, at)};
  }
  return builder.take();
}

}  // namespace

std::optional<Document> load(std::string_view text, Problems& problems) {
  if (text.size() > kMaxFileBytes) {
    problems.add({}, "larger than " + std::to_string(kMaxFileBytes >> 20) + " MiB",
                 "load large tables with 'millrace load'");
    return std::nullopt;
  }
  if (!is_clean_text(text, problems)) return std::nullopt;
  try {
    return build(text, problems);
  } catch (const Refused& refused) {
    problems.add(refused.at, refused.message, refused.hint);
  } catch (const std::exception& error) {
    problems.add({}, std::string("cannot read this as YAML: ") + error.what());
  }
  return std::nullopt;
}

}  // namespace millrace::config
