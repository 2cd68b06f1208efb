// SPDX-License-Identifier: MIT
#include "hub/download.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"
#include "base/test_folder.h"
#include "hub/fake_hub.h"

namespace sotto {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using Kind = FakeFault::Kind;

constexpr const char* kPath = "/a/b/resolve/main/w.bin";

RetryPolicy Quick() {
  return {.attempts = 4,
          .first_wait = std::chrono::milliseconds(1),
          .longest_wait = std::chrono::milliseconds(2)};
}

class DownloadTest : public ::testing::Test {
 protected:
  FakeHub& hub() {
    fake_.Settle();
    return fake_;
  }
  DownloadTest() {
    file().body = RandomBytes(300'000, 1);
    job_ = {.url = hub().url() + kPath,
            .target = folder_.path() / "w.bin",
            .bytes = file().body.size(),
            .digest = {Digest::Kind::kSha256, Sha256Hex(file().body)}};
  }
  FakeFile& file() { return hub().repositories["a/b"]["w.bin"]; }
  void Run() { Download(client_, job_, Quick(), {}); }
  std::string Failure() {
    try {
      Run();
    } catch (const Error& error) {
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
      EXPECT_FALSE(fs::exists(job_.target)) << "a bad file was kept";
      return error.what();
    }
    return "no error";
  }
  bool HasPart() const { return fs::exists(job_.target.string() + ".part"); }
  void ExpectWhole() {
    EXPECT_EQ(ReadFile(job_.target), file().body);
    EXPECT_FALSE(HasPart());
    EXPECT_FALSE(fs::exists(job_.target.string() + ".part.etag"));
  }
  // As an earlier run would have left it.
  void LeavePart(const std::string& bytes, const std::string& tag) {
    folder_.Write("w.bin.part", bytes);
    if (!tag.empty()) folder_.Write("w.bin.part.etag", tag);
  }
  std::string Tag() {
    return "\"" + Sha256Hex(file().body).substr(0, 16) + "\"";
  }

  TestFolder folder_;
  FakeHub fake_;
  HttpClient client_{{.connect = std::chrono::milliseconds(2000),
                      .stall = std::chrono::milliseconds(300)}};
  DownloadJob job_;
};

TEST_F(DownloadTest, BringsTheFile) {
  uint64_t last = 0;
  Download(client_, job_, Quick(), [&](uint64_t done, uint64_t total) {
    EXPECT_GT(done, last);
    EXPECT_EQ(total, 300'000u);
    last = done;
  });
  EXPECT_EQ(last, 300'000u);
  ExpectWhole();
  EXPECT_EQ(hub().Count("w.bin"), 1u);
}

TEST_F(DownloadTest, GoesOnWhereACutTransferEnded) {
  file().faults = {{Kind::kCut, 100'000}, {Kind::kCut, 50'000}};
  Run();
  ExpectWhole();
  const auto requests = hub().hub().requests();
  ASSERT_EQ(requests.size(), 3u);
  EXPECT_EQ(requests[0].Header("range"), "");
  EXPECT_EQ(requests[1].Header("range"), "bytes=100000-");
  EXPECT_EQ(requests[1].Header("if-range"), Tag());
  EXPECT_EQ(requests[2].Header("range"), "bytes=150000-");
}

TEST_F(DownloadTest, GoesOnInALaterRun) {
  file().faults.assign(4, {Kind::kCut, 60'000});
  EXPECT_THAT(Failure(), HasSubstr("the transfer broke off"));
  ASSERT_TRUE(HasPart());
  hub().hub().Forget();
  Run();
  ExpectWhole();
  ASSERT_EQ(hub().hub().requests().size(), 1u);
  EXPECT_EQ(hub().hub().requests()[0].Header("range"), "bytes=240000-");
}

TEST_F(DownloadTest, StopsAfterSoManyTries) {
  file().faults.assign(100, {Kind::kCut, 0});
  EXPECT_THAT(Failure(), HasSubstr(hub().url() + kPath));
  EXPECT_EQ(hub().hub().requests().size(), 4u);
}

TEST_F(DownloadTest, MegabytesOfProgressRenewTheTries) {
  file().body = RandomBytes(9'000'000, 2);
  job_.bytes = file().body.size();
  job_.digest.hex = Sha256Hex(file().body);
  file().faults.assign(7, {Kind::kCut, (1 << 20) + 1});
  Run();
  ExpectWhole();
  EXPECT_EQ(hub().hub().requests().size(), 8u);
}

TEST_F(DownloadTest, ChangedFileBeginsAgain) {
  LeavePart(RandomBytes(100'000, 99), "\"of-another-file\"");
  Run();
  ExpectWhole();
  const auto requests = hub().hub().requests();
  ASSERT_EQ(requests.size(), 1u);  // the server answers 200, all of it
  EXPECT_EQ(requests[0].Header("if-range"), "\"of-another-file\"");
}

TEST_F(DownloadTest, ServerThatIgnoresIfRangeIsFoundOut) {
  LeavePart(RandomBytes(100'000, 99), Tag());  // right tag, wrong bytes
  Run();
  ExpectWhole();
  EXPECT_EQ(hub().hub().requests().size(), 2u);
}

TEST_F(DownloadTest, OddPartsDoNoHarm) {
  const std::string body = file().body;
  for (const auto& [part, tag] :
       std::vector<std::pair<std::string, std::string>>{
           {body, Tag()},                    // whole, but not renamed
           {body, ""},                       // checksum tells
           {body + "more", Tag()},           // longer than the file
           {body.substr(0, 10), "W/\"x\""},  // a weak tag is no tag
           {body.substr(0, 10), "\"a\r\nX-Evil: 1\""},
           {"", Tag()}}) {
    fs::remove(job_.target);
    LeavePart(part, tag);
    Run();
    ExpectWhole();
  }
  for (const FakeRequest& request : hub().hub().requests())
    EXPECT_EQ(request.Header("x-evil"), "");
}

TEST_F(DownloadTest, PartWithoutTagOrChecksumIsNotTrusted) {
  job_.digest = {};
  LeavePart(RandomBytes(100'000, 99), "");
  Run();
  ExpectWhole();
}

TEST_F(DownloadTest, RangesThatDoNotFitBeginAgain) {
  file().faults = {{Kind::kCut, 100'000},
                   {Kind::kWrongRange, 0},
                   {Kind::kCut, 100'000},
                   {Kind::kIgnoreRange, 0}};
  Run();
  ExpectWhole();
}

TEST_F(DownloadTest, WrongChecksumLeavesNothing) {
  file().faults.assign(9, {Kind::kCorrupt, 0});
  const std::string error = Failure();
  EXPECT_THAT(error, HasSubstr("sha256"));
  EXPECT_THAT(error, HasSubstr(job_.digest.hex));
  EXPECT_FALSE(HasPart());
  EXPECT_EQ(hub().hub().requests().size(), 1u);  // asking again is no cure
  EXPECT_TRUE(fs::is_empty(folder_.path()));
}

TEST_F(DownloadTest, GitBlobIdCounts) {
  job_.digest = {Digest::Kind::kGitBlob, GitBlobHex(file().body)};
  Run();
  ExpectWhole();
  fs::remove(job_.target);
  file().faults = {{Kind::kCorrupt, 0}};
  EXPECT_THAT(Failure(), HasSubstr("git blob"));
}

TEST_F(DownloadTest, RedirectTellsTheChecksum) {
  file().large = true;
  job_.digest = {};
  job_.bytes.reset();
  file().faults = {{Kind::kCorrupt, 0}};
  EXPECT_THAT(Failure(), HasSubstr("sha256"));
  Run();
  ExpectWhole();
}

TEST_F(DownloadTest, SizesMustAgree) {
  job_.bytes = 299'999;
  EXPECT_THAT(Failure(), HasSubstr("has 300000 bytes, want 299999"));
  job_.bytes = 300'001;
  EXPECT_THAT(Failure(), HasSubstr("has 300000 bytes, want 300001"));
  job_.bytes = 300'000;
  file().faults = {{Kind::kLonger, 0}};
  EXPECT_THAT(Failure(), HasSubstr("has 300001 bytes"));
  job_.bytes.reset();
  job_.limit = 1000;
  EXPECT_THAT(Failure(), HasSubstr("longer than 1000 bytes"));
}

TEST_F(DownloadTest, EndWithoutLengthNeedsAChecksum) {
  file().faults = {{Kind::kNoLength, 0}};
  Run();
  ExpectWhole();
  fs::remove(job_.target);
  job_.digest = {};
  job_.bytes.reset();
  file().faults = {{Kind::kNoLength, 0}};
  EXPECT_THAT(Failure(), HasSubstr("neither length nor checksum"));
  EXPECT_FALSE(HasPart());
}

TEST_F(DownloadTest, BusyServerIsAskedAgain) {
  file().faults = {
      {Kind::kStatus, 503}, {Kind::kStatus, 429}, {Kind::kStatus, 500}};
  Run();
  ExpectWhole();
  fs::remove(job_.target);
  file().faults.assign(9, {Kind::kStatus, 429});
  EXPECT_THAT(Failure(), HasSubstr("too many requests, try later (HTTP 429)"));
}

TEST_F(DownloadTest, StalledServerIsGivenUp) {
  file().faults = {{Kind::kStall, 1000}};
  Run();
  ExpectWhole();
  EXPECT_EQ(hub().hub().requests()[1].Header("range"), "bytes=1000-");
}

TEST_F(DownloadTest, RefusalsSayWhy) {
  job_.url = hub().url() + "/a/b/resolve/main/gone.bin";
  EXPECT_THAT(Failure(), HasSubstr("gone.bin: not found (HTTP 404)"));
  hub().error_code = "EntryNotFound";
  EXPECT_THAT(Failure(), HasSubstr("no such file (HTTP 404)"));
  hub().error_code = "";
  hub().token = "secret";
  EXPECT_THAT(Failure(), HasSubstr("private one that wants HF_TOKEN"));
  job_.token = "wrong";
  EXPECT_THAT(Failure(), HasSubstr("HF_TOKEN gives no access"));
  hub().error_code = "GatedRepo";
  EXPECT_THAT(Failure(), HasSubstr("accept its terms"));
  EXPECT_EQ(Failure().find("wrong"), std::string::npos) << "shows the token";
}

TEST_F(DownloadTest, TokenStaysWithItsOrigin) {
  file().large = true;
  hub().token = job_.token = "secret";
  Run();
  ExpectWhole();
  ASSERT_EQ(hub().hub().requests().size(), 1u);
  EXPECT_EQ(hub().hub().requests()[0].Header("authorization"), "Bearer secret");
  ASSERT_EQ(hub().storage().requests().size(), 1u);
  EXPECT_FALSE(hub().storage().requests()[0].headers.contains("authorization"));
  // The same port under another name is another host too.
  fs::remove(job_.target);
  hub().storage().Forget();
  hub().storage_url = hub().storage().url("localhost");
  job_.url = hub().storage().url() + "/store/a/b/w.bin";
  FakeServer sends_back([&](const FakeRequest& request) {
    EXPECT_EQ(request.Header("authorization"), "Bearer secret");
    return FakeAnswer{
        .status = 307,
        .headers = {{"Location",
                     hub().storage().url("localhost") + "/store/a/b/w.bin"}}};
  });
  job_.url = sends_back.url() + "/x";
  Run();
  EXPECT_FALSE(
      hub().storage().requests().at(0).headers.contains("authorization"));
}

TEST_F(DownloadTest, TokenFollowsARedirectWithinTheOrigin) {
  FakeServer server([&](const FakeRequest& request) {
    EXPECT_EQ(request.Header("authorization"), "Bearer secret");
    if (request.target == "/old")
      return FakeAnswer{.status = 307, .headers = {{"Location", "/new?x=1"}}};
    return FakeAnswer{.body = file().body};
  });
  job_.url = server.url() + "/old";
  job_.token = "secret";
  Run();
  EXPECT_EQ(server.requests().size(), 2u);
}

TEST_F(DownloadTest, RedirectsAreJudged) {
  std::string location;
  FakeServer server([&](const FakeRequest&) {
    return FakeAnswer{.status = 302, .headers = {{"Location", location}}};
  });
  job_.url = server.url() + "/x";
  for (const char* bad :
       {"http://example.org/w", "file:///etc/passwd", "ftp://127.0.0.1/w",
        "http://127.evil.org/w", "http://user:pass@127.0.0.1/w"}) {
    location = bad;
    EXPECT_THAT(Failure(), HasSubstr("refused")) << bad;
  }
  location = "/x";
  EXPECT_THAT(Failure(), HasSubstr("more than 6 redirects"));
  EXPECT_EQ(server.requests().size(), 5u + 7u);
}

TEST_F(DownloadTest, OnlyHttpsLeavesThisMachine) {
  EXPECT_TRUE(IsAllowedUrl("https://huggingface.co"));
  EXPECT_TRUE(IsAllowedUrl("http://localhost:8080/x"));
  EXPECT_TRUE(IsAllowedUrl("http://[::1]:8080"));
  for (const char* url :
       {"http://huggingface.co", "http://10.0.0.1", "ftp://localhost", "x", "",
        "file:///x", "http://localhost.evil.org", "https://u:p@host"})
    EXPECT_FALSE(IsAllowedUrl(url)) << url;
  job_.url = "http://example.org/x";
  EXPECT_THAT(Failure(), HasSubstr("want https"));
}

TEST_F(DownloadTest, NobodyThere) {
  std::string url;
  {
    FakeServer gone([](const FakeRequest&) { return FakeAnswer{}; });
    url = gone.url();
  }
  job_.url = url + "/x";
  EXPECT_THAT(Failure(), HasSubstr("not reachable"));
}

TEST_F(DownloadTest, NonsenseFromTheServer) {
  FakeAnswer answer;
  FakeServer server([&](const FakeRequest&) { return answer; });
  job_.url = server.url() + "/x";
  job_.digest = {};
  job_.bytes.reset();
  answer = {.status = 999};
  EXPECT_THAT(Failure(), HasSubstr("HTTP 999"));
  answer = {.status = 302};  // no Location
  EXPECT_THAT(Failure(), HasSubstr("HTTP 302"));
  answer = {.status = 206, .body = "abc"};  // nobody asked for a range
  EXPECT_THAT(Failure(), HasSubstr("does not fit"));
  answer = {.status = 500,
            .headers = {{"X-Error-Message", std::string(5000, '\x01')}}};
  EXPECT_LT(Failure().size(), 400u);
  answer = {.headers = {{"Content-Length", "-5"}}, .tell_length = false};
  EXPECT_NE(Failure(), "no error");
}

TEST_F(DownloadTest, ProgressMayStopIt) {
  try {
    Download(client_, job_, Quick(), [](uint64_t, uint64_t) {
      throw Error(ErrorCode::kCancelled, "enough");
    });
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kCancelled);
  }
  EXPECT_FALSE(fs::exists(job_.target));
  EXPECT_GT(fs::file_size(job_.target.string() + ".part"), 0u);
  Run();
  ExpectWhole();
}

TEST_F(DownloadTest, DiskTroubleIsTold) {
  job_.target = "/dev/null/x/w.bin";
  EXPECT_THAT(Failure(), HasSubstr("cannot make the folder"));
  if (!fs::exists("/dev/full")) GTEST_SKIP() << "no /dev/full";
  job_.target = folder_.path() / "full.bin";
  fs::create_symlink("/dev/full", folder_.path() / "full.bin.part");
  EXPECT_THAT(Failure(), HasSubstr("No space left"));
}

TEST_F(DownloadTest, EmptyFileNeedsNoRequest) {
  job_.bytes = 0;
  job_.digest.hex = Sha256Hex("");
  Run();
  EXPECT_EQ(fs::file_size(job_.target), 0u);
}

TEST_F(DownloadTest, TextHasALimit) {
  file().body = "hello";
  EXPECT_EQ(DownloadText(client_, hub().url() + kPath, "", 5, Quick()),
            "hello");
  EXPECT_THROW(DownloadText(client_, hub().url() + kPath, "", 4, Quick()),
               Error);
  file().faults = {{Kind::kCut, 2}, {Kind::kStatus, 502}};
  EXPECT_EQ(DownloadText(client_, hub().url() + kPath, "", 5, Quick()),
            "hello");
}

TEST(ContentRange, ReadsTheRfcForm) {
  const auto range = ParseContentRange("bytes 100-199/200");
  ASSERT_TRUE(range);
  EXPECT_EQ(range->first, 100u);
  EXPECT_EQ(range->total, 200u);
  EXPECT_FALSE(ParseContentRange("bytes 0-1/*")->total);
  for (const char* text :
       {"", "bytes", "bytes ", "bytes */5", "bytes 5-4/9", "bytes 0-9/9",
        "bytes 0-1/2x", "bytes 0-1/*x", "bytes -1-2/3", "bytes 1/2",
        "bytes 99999999999999999999-1/2", "items 0-1/2", "bytes 0-"})
    EXPECT_FALSE(ParseContentRange(text)) << text;
}

}  // namespace
}  // namespace sotto
