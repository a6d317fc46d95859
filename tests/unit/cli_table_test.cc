#include "cli/table.h"

#include <gtest/gtest.h>

#include <sstream>

namespace millrace::cli {
namespace {

std::string printed(Table& table) {
  std::ostringstream out;
  table.print(out);
  return out.str();
}

std::size_t longest_line(const std::string& text) {
  std::istringstream in(text);
  std::size_t longest = 0;
  for (std::string line; std::getline(in, line);) longest = std::max(longest, line.size());
  return longest;
}

TEST(CliTable, AlignsTextLeftAndNumbersRight) {
  Table table({{"NAME"}, number("PACKETS"), {"STATE"}});
  table.row({"wan0", "1,234,567", "up"});
  table.row({"management0", "0", "down"});
  EXPECT_EQ(printed(table),
            "NAME           PACKETS  STATE\n"
            "wan0         1,234,567  up\n"
            "management0          0  down\n");
}

TEST(CliTable, ShowsNothingAsADash) {
  Table table({{"MAC"}, number("QUEUED")});
  table.row({"", ""});
  table.row({"02:00:00:00:00:01"});
  EXPECT_EQ(printed(table),
            "MAC                QUEUED\n"
            "-                       -\n"
            "02:00:00:00:00:01       -\n");
}

TEST(CliTable, PutsFurtherLinesOfACellBelowIt) {
  Table table({{"PREFIX"}, {"VIA"}, number("N")});
  table.row({"10.0.0.0/8", "192.0.2.1\n192.0.2.2", "7"});
  EXPECT_EQ(printed(table),
            "PREFIX      VIA        N\n"
            "10.0.0.0/8  192.0.2.1  7\n"
            "            192.0.2.2\n");
}

TEST(CliTable, WrapsTheElasticColumnAtItsWidthAndNotBefore) {
  for (const std::size_t limit : {31U, 30U}) {
    Table table({{"REASON"}, elastic("DESCRIPTION")}, limit);
    table.row({"ttl_expired", "time to live zero!"});  // 11 + 2 + 18 = 31 columns
    const std::string text = printed(table);
    EXPECT_LE(longest_line(text), limit);
    EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), limit == 31 ? 2 : 3) << text;
  }
}

TEST(CliTable, NeverCutsWhatIsNotElastic) {
  Table table({{"PREFIX"}, elastic("DETAIL")}, 20);
  table.row({"2001:db8:1234:5678::/64", "via fe80::1 and more"});
  const std::string text = printed(table);
  EXPECT_NE(text.find("2001:db8:1234:5678::/64"), std::string::npos);
  EXPECT_NE(text.find("via fe80::1 and\n"), std::string::npos) << text;
}

TEST(CliTable, KeepsItsHeaderAndWidthsFromPageToPage) {
  Table table({{"PREFIX"}, number("ID")});
  table.row({"10.20.30.0/24", "1"});
  EXPECT_EQ(printed(table), "PREFIX         ID\n10.20.30.0/24   1\n");
  table.row({"0.0.0.0/0", "2"});
  EXPECT_EQ(printed(table), "0.0.0.0/0       2\n");
  EXPECT_TRUE(table.empty());
}

TEST(CliWrap, BreaksAtSpacesThenAfterCommasThenAnywhere) {
  using Lines = std::vector<std::string>;
  EXPECT_EQ(wrap("", 4), Lines({""}));
  EXPECT_EQ(wrap("abcd", 4), Lines({"abcd"}));
  EXPECT_EQ(wrap("abcd efgh", 4), Lines({"abcd", "efgh"}));
  EXPECT_EQ(wrap("ab cd ef", 5), Lines({"ab cd", "ef"}));
  EXPECT_EQ(wrap("a=1,b=2,c=3", 8), Lines({"a=1,b=2,", "c=3"}));
  EXPECT_EQ(wrap("abcdefghij", 4), Lines({"abcd", "efgh", "ij"}));
}

}  // namespace
}  // namespace millrace::cli
