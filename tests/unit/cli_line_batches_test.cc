#include "cli/line_batches.h"

#include <gtest/gtest.h>
#include <unistd.h>
#include <zlib.h>

#include <filesystem>
#include <fstream>

#include "cli/failure.h"

namespace millrace::cli {
namespace {

class CliLineBatches : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "cli-lines-XXXXXX").string();
    const int fd = mkstemp(name.data());
    ASSERT_GE(fd, 0);
    close(fd);
    path_ = name;
  }
  void TearDown() override { std::filesystem::remove(path_); }

  void write(const std::string& text) { std::ofstream(path_, std::ios::binary) << text; }
  void write_gzip(const std::string& text) {
    gzFile file = gzopen(path_.c_str(), "wb");
    gzwrite(file, text.data(), static_cast<unsigned>(text.size()));
    gzclose(file);
  }
  std::vector<Batch> read() {
    LineBatches batches(path_);
    std::vector<Batch> all;
    for (Batch batch; batches.next(batch);) all.push_back(batch);
    return all;
  }

  std::string path_;
};

std::string numbered_lines(std::size_t count) {
  std::string text;
  for (std::size_t i = 1; i <= count; ++i) text += "line " + std::to_string(i) + "\n";
  return text;
}

TEST_F(CliLineBatches, GivesNoBatchForAnEmptyFile) {
  write("");
  EXPECT_TRUE(read().empty());
}

TEST_F(CliLineBatches, KeepsEmptyLinesAndCompletesTheLast) {
  write("a\n\n# note\r\nb");
  const auto batches = read();
  ASSERT_EQ(batches.size(), 1U);
  EXPECT_EQ(batches[0].text, "a\n\n# note\nb\n");
  EXPECT_EQ(batches[0].lines, 4U);
}

TEST_F(CliLineBatches, CutsAfterTenThousandLinesAndKnowsWhereEachBatchStarts) {
  for (const std::size_t lines : {9'999U, 10'000U, 10'001U}) {
    write(numbered_lines(lines));
    const auto batches = read();
    ASSERT_EQ(batches.size(), lines > 10'000 ? 2U : 1U);
    EXPECT_EQ(batches[0].first_line, 1U);
    EXPECT_EQ(batches[0].lines, std::min<std::size_t>(lines, 10'000));
    if (batches.size() == 2) {
      EXPECT_EQ(batches[1].first_line, 10'001U);
      EXPECT_EQ(batches[1].text, "line 10001\n");
    }
  }
}

TEST_F(CliLineBatches, ReadsGzipWhateverItsName) {
  const std::string text = numbered_lines(25'000);
  write_gzip(text);
  std::string joined;
  for (const Batch& batch : read()) joined += batch.text;
  EXPECT_EQ(joined, text);
}

TEST_F(CliLineBatches, RefusesALineOverTheLimitAndKeepsItsPlace) {
  const std::string fits(LineBatches::kMaxLine, 'x');
  write("a\n" + fits + "\n" + fits + "y\nb\n" + std::string(1'000'000, 'z'));
  const auto batches = read();
  ASSERT_EQ(batches.size(), 1U);
  EXPECT_EQ(batches[0].text, "a\n" + fits + "\n\nb\n\n");
  EXPECT_EQ(batches[0].too_long, (std::vector<std::size_t>{3, 5}));
}

TEST_F(CliLineBatches, ReportsCompressedDataThatAreCutOff) {
  write_gzip(numbered_lines(25'000));
  std::filesystem::resize_file(path_, std::filesystem::file_size(path_) - 1'000);
  EXPECT_THROW(read(), Failure);
}

TEST_F(CliLineBatches, NamesAFileThatCannotBeRead) {
  try {
    LineBatches batches("/no/such\x1b/file");
    FAIL() << "opened";
  } catch (const Failure& failure) {
    EXPECT_STREQ(failure.what(), "/no/such\\x1b/file: No such file or directory");
  }
  Batch batch;
  EXPECT_THROW(LineBatches("/tmp").next(batch), Failure);
}

}  // namespace
}  // namespace millrace::cli
