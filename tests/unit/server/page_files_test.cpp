// The files of the web page: what is theirs is answered with the right type, tag and encoding; nothing else is.
#include "scheduler/server/page_files.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

namespace ultramarine::server {
namespace {

class PageFilesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "ultramarine-page-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder = name;
    write("page/index.html", "<!doctype html>the page");
    write("page/index.html.gz", "compressed page");
    write("page/assets/index-1234.js", "script");
    write("page/notes.txt", "no part of the page");
    write("secret", "of the scheduler");
    std::filesystem::create_symlink(folder / "secret", folder / "page/secret.html");
  }
  void TearDown() override { std::filesystem::remove_all(folder); }

  void write(const std::string& name, const std::string& text) {
    std::filesystem::create_directories((folder / name).parent_path());
    std::ofstream(folder / name) << text;
  }

  std::optional<net::Response> ask(const std::string& path, std::map<std::string, std::string> headers = {}, const std::string& method = "GET") {
    net::Request request;
    request.method = method;
    request.path = path;
    request.headers = std::move(headers);
    return PageFiles(folder / "page").answer(request);
  }

  std::filesystem::path folder;
};

TEST_F(PageFilesTest, BrowsersGetThePageAtTheFrontAndOthersTheApi) {
  const auto page = ask("/", {{"accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"}});
  ASSERT_TRUE(page);
  EXPECT_EQ(page->body, "<!doctype html>the page");
  EXPECT_EQ(page->content_type, "text/html; charset=utf-8");
  EXPECT_EQ(page->headers.at("Cache-Control"), "no-cache");
  EXPECT_NE(page->headers.at("Content-Security-Policy").find("default-src 'self'"), std::string::npos);
  EXPECT_FALSE(ask("/", {{"accept", "*/*"}})) << "curl";
  EXPECT_FALSE(ask("/"));
}

TEST_F(PageFilesTest, CompressedFilesGoToThoseWhoTakeThem) {
  const auto compressed = ask("/index.html", {{"accept-encoding", "deflate, gzip;q=0.5, br"}});
  EXPECT_EQ(compressed->body, "compressed page");
  EXPECT_EQ(compressed->headers.at("Content-Encoding"), "gzip");
  EXPECT_EQ(ask("/index.html", {{"accept-encoding", "gzip;q=0"}})->body, "<!doctype html>the page");
  EXPECT_FALSE(ask("/assets/index-1234.js", {{"accept-encoding", "gzip"}})->headers.contains("Content-Encoding")) << "it has no .gz beside it";
}

TEST_F(PageFilesTest, WhatIsKnownIsNotSentAgain) {
  const auto first = ask("/assets/index-1234.js");
  EXPECT_EQ(first->content_type, "text/javascript; charset=utf-8");
  EXPECT_NE(first->headers.at("Cache-Control").find("immutable"), std::string::npos);
  const auto again = ask("/assets/index-1234.js", {{"if-none-match", first->headers.at("ETag")}});
  EXPECT_EQ(again->status, 304);
  EXPECT_EQ(again->body, "");
  EXPECT_EQ(ask("/assets/index-1234.js", {{"if-none-match", "\"another\""}})->status, 200);
}

TEST_F(PageFilesTest, NothingButThePageIsServed) {
  for (const char* path : {"/../secret", "/assets/../../secret", "//secret", "/assets/..", "/assets", "/assets/", "/secret.html", "/notes.txt", "/index.html.gz",
                           "/./index.html", "index.html", "", "*", "/v1/cluster"})
    EXPECT_FALSE(ask(path)) << path;
  EXPECT_FALSE(ask("/index.html", {}, "POST"));
}

TEST_F(PageFilesTest, WithoutThePageItSaysHowToGetIt) {
  std::filesystem::remove_all(folder / "page");
  const auto page = ask("/", {{"accept", "text/html"}});
  ASSERT_TRUE(page);
  EXPECT_NE(page->body.find("--target dashboard"), std::string::npos);
  EXPECT_FALSE(ask("/assets/index-1234.js"));
}

}  // namespace
}  // namespace ultramarine::server
