// Tables of wrong configurations: each text has one problem, at a place.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "config/parse.h"

namespace millrace::config {

// What most tables need around the lines that they are about.
inline constexpr std::string_view kTwoInterfaces =
    "interfaces:\n"
    "  wan0: { device: net_null, addresses: [192.0.2.1/24, \"2001:db8:0:1::1/64\"] }\n"
    "  lan0: { device: net_null, addresses: [198.51.100.1/25], mtu: 1000 }\n";

inline ParseResult parse_text(std::string_view text) {
  return parse(text, "test.yaml");
}

inline std::string listing(const std::vector<Problem>& problems) {
  std::string text;
  for (const Problem& problem : problems) text += problem.to_string() + "\n";
  return text;
}

struct Wrong {
  std::string_view text;
  int line;
  int column;
  std::string_view message;  // a part of it
  std::string_view hint;     // a part of it; empty: there is none
};

inline void expect_one_problem(const Wrong& wrong, std::string_view before = "") {
  SCOPED_TRACE(wrong.text);
  const auto result = parse_text(std::string(before) + std::string(wrong.text));
  ASSERT_EQ(result.problems.size(), 1U) << listing(result.problems);
  const Problem& problem = result.problems.front();
  EXPECT_EQ(problem.file, "test.yaml");
  EXPECT_EQ(problem.line, wrong.line) << problem.to_string();
  EXPECT_EQ(problem.column, wrong.column) << problem.to_string();
  EXPECT_NE(problem.message.find(wrong.message), std::string::npos) << problem.to_string();
  EXPECT_NE(problem.hint.find(wrong.hint), std::string::npos) << problem.to_string();
  EXPECT_EQ(problem.hint.empty(), wrong.hint.empty()) << problem.to_string();
}

}  // namespace millrace::config
