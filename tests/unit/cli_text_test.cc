#include "cli/text.h"

#include <gtest/gtest.h>

#include <limits>

namespace millrace::cli {
namespace {

TEST(CliText, WritesWhatCouldDriveATerminalAsEscapes) {
  EXPECT_EQ(printable("wan0 (a~b)"), "wan0 (a~b)");
  EXPECT_EQ(printable("\x1b[31mred\x1b[0m"), "\\x1b[31mred\\x1b[0m");
  EXPECT_EQ(printable("a\nb\r\tc\x7f"), "a\\x0ab\\x0d\\x09c\\x7f");
  EXPECT_EQ(printable("\xc2\x9b"), "\\xc2\\x9b");  // CSI as one character, in UTF-8
  EXPECT_EQ(printable(std::string_view("\0", 1)), "\\x00");
}

TEST(CliText, LeavesNoByteThatIsNotPrintable) {
  for (int byte = 0; byte < 256; ++byte) {
    for (const char c : printable(std::string(1, static_cast<char>(byte)))) {
      EXPECT_TRUE(c >= 0x20 && c < 0x7f) << "byte " << byte;
    }
  }
}

TEST(CliText, GroupsThousands) {
  EXPECT_EQ(grouped(std::uint64_t{0}), "0");
  EXPECT_EQ(grouped(std::uint64_t{999}), "999");
  EXPECT_EQ(grouped(std::uint64_t{1000}), "1,000");
  EXPECT_EQ(grouped(std::uint64_t{1234567}), "1,234,567");
  EXPECT_EQ(grouped(std::numeric_limits<std::uint64_t>::max()), "18,446,744,073,709,551,615");
  EXPECT_EQ(grouped(std::int64_t{-1000}), "-1,000");
  EXPECT_EQ(grouped(std::numeric_limits<std::int64_t>::min()), "-9,223,372,036,854,775,808");
}

TEST(CliText, WritesDurationsInTheUnitsThatHelp) {
  struct Case {
    double seconds;
    const char* text;
  };
  for (const Case& c : {Case{0, "0 s"},
                        {-1, "0 s"},
                        {35e-6, "35 us"},
                        {0.0012, "1.20 ms"},
                        {0.25, "250 ms"},
                        {2.44, "2.4 s"},
                        {59, "59 s"},
                        {60, "1 min"},
                        {61, "1 min 1 s"},
                        {3600, "1 h"},
                        {11520, "3 h 12 min"},
                        {86400, "1 d"},
                        {93600, "1 d 2 h"}}) {
    EXPECT_EQ(duration(c.seconds), c.text) << c.seconds;
  }
}

TEST(CliText, WritesSizesInBinaryUnits) {
  EXPECT_EQ(bytes(1023), "1023 B");
  EXPECT_EQ(bytes(1024), "1.0 KiB");
  EXPECT_EQ(bytes(std::uint64_t{41} << 20), "41.0 MiB");
  EXPECT_EQ(bytes(std::uint64_t{1} << 40), "1.0 TiB");
  EXPECT_EQ(bytes(std::uint64_t{1} << 52), "4096.0 TiB");
}

TEST(CliText, CountsInEnglish) {
  EXPECT_EQ(counted(0, "entry", "entries"), "0 entries");
  EXPECT_EQ(counted(1, "entry", "entries"), "1 entry");
  EXPECT_EQ(counted(1000, "entry", "entries"), "1,000 entries");
}

}  // namespace
}  // namespace millrace::cli
