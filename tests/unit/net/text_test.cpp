// Endpoints, request targets, UTF-8, base64 and known answers of the hashes.
#include <gtest/gtest.h>

#include <stdexcept>

#include "scheduler/net/base64.h"
#include "scheduler/net/endpoint.h"
#include "scheduler/net/proof.h"
#include "scheduler/net/target.h"
#include "scheduler/net/utf8.h"

namespace ultramarine::net {
namespace {

using namespace std::string_literals;

std::string from_hex(const std::string& text) {
  std::string bytes;
  for (std::size_t i = 0; i < text.size(); i += 2) bytes += static_cast<char>(std::stoi(text.substr(i, 2), nullptr, 16));
  return bytes;
}

TEST(Endpoint, ReadsItsFormsAndWritesThemBack) {
  for (const std::string text : {"127.0.0.1:7070", "node-3.example.org:1", "[::1]:65535", "unix:/run/ultra.sock", "unix:relative.sock", "0.0.0.0:0"}) {
    const auto endpoint = parse_endpoint(text);
    ASSERT_TRUE(endpoint) << text;
    EXPECT_EQ(endpoint->text(), text);
  }
  EXPECT_EQ(parse_endpoint("/run/ultra.sock")->path, "/run/ultra.sock");
  EXPECT_EQ(parse_endpoint("[::1]:80")->host, "::1");
  EXPECT_EQ(parse_endpoint("[::1]:80")->port, 80);
}

TEST(Endpoint, RefusesWhatIsMalformed) {
  for (const std::string text : {"", "host", "host:", ":80", "host:65536", "host:-1", "host:80x", "host: 80", "::1:80", "[::1]", "[::1:80", "[host]:80", "unix:",
                                 "a b:80", "relative.sock"}) {
    EXPECT_FALSE(parse_endpoint(text)) << text;
  }
  EXPECT_FALSE(parse_endpoint("/run/a\0b"s));
}

TEST(Endpoint, LoopbackIsDecidedByTheAddressNotByItsLooks) {
  for (const std::string text : {"127.0.0.1:1", "127.9.8.7:1", "[::1]:1", "localhost:1", "/run/x"}) EXPECT_TRUE(is_loopback(*parse_endpoint(text))) << text;
  for (const std::string text : {"0.0.0.0:1", "10.0.0.1:1", "127.example.org:1", "127.0.0.1.example.org:1", "1270.0.0.1:1", "127.0.0:1", "[::]:1"}) {
    EXPECT_FALSE(is_loopback(*parse_endpoint(text))) << text;
  }
}

TEST(Target, IsDecoded) {
  const auto target = parse_target("/v1/jobs/a%20b%2Fc?state=running%26queued&all=1&name=x+y%2B&empty=&flag&all=2");
  ASSERT_TRUE(target);
  EXPECT_EQ(target->path, "/v1/jobs/a b/c");
  const std::map<std::string, std::string> query{{"state", "running&queued"}, {"all", "2"}, {"name", "x y+"}, {"empty", ""}, {"flag", ""}};
  EXPECT_EQ(target->query, query);
  EXPECT_EQ(parse_target("http://host:80/a?b=c")->path, "/a");
  EXPECT_EQ(parse_target("*")->path, "*");
  EXPECT_EQ(parse_target("/?&&=x&")->query.size(), 1u);
}

TEST(Target, RefusesWhatIsMalformed) {
  for (const std::string text : {"", "jobs", "/%", "/%1", "/%zz", "/%00", "/a?x=%0", "/a#b", "/a b", "/a\nb", "http://host", "ftp://host/a", "/a\x7f"}) {
    EXPECT_FALSE(parse_target(text)) << text;
  }
}

TEST(Target, SurvivesEncoding) {
  const Target target{.path = "/a b/ü%?#&=+", .query = {{"k&=", "v + ?/#"}, {"leer", ""}, {"\n", "\xff"}}};
  const auto again = parse_target(encode_target(target));
  ASSERT_TRUE(again);
  EXPECT_EQ(again->path, target.path);
  EXPECT_EQ(again->query, target.query);
  EXPECT_EQ(encode_target({.path = "/v1/jobs", .query = {}}), "/v1/jobs");
}

TEST(Utf8, AcceptsOnlyWellFormedText) {
  for (const std::string text : {"", "plain", "\xC3\xBC", "\xE2\x82\xAC", "\xF0\x9F\x90\xA2", "\xED\x9F\xBF", "\xEE\x80\x80", "\xF4\x8F\xBF\xBF"}) {
    EXPECT_TRUE(is_utf8(text)) << text;
  }
  EXPECT_TRUE(is_utf8("a\0b"s));
  for (const std::string text : {"\x80", "\xC3", "\xC0\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xE2\x82", "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80",
                                 "\xF5\x80\x80\x80", "\xFF", "a\xC3(b"}) {
    EXPECT_FALSE(is_utf8(text)) << testing::PrintToString(text);
  }
}

TEST(Base64, KnownAnswers) {
  // RFC 4648, section 10.
  const std::pair<std::string, std::string> known[] = {{"", ""},         {"f", "Zg=="},         {"fo", "Zm8="},       {"foo", "Zm9v"},
                                                       {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}};
  for (const auto& [bytes, text] : known) {
    EXPECT_EQ(to_base64(bytes), text);
    EXPECT_EQ(from_base64(text), bytes);
  }
  std::string all;
  for (int round = 0; round < 3; ++round) {
    for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
    EXPECT_EQ(from_base64(to_base64(all)), all);
    all += 'x';
  }
}

TEST(Base64, RefusesWhatIsMalformed) {
  for (const std::string text : {"Z", "Zg", "Zg=", "Zg===", "====", "=Zg=", "Z===", "Zm9v\n", "Zm 9v===", "Zm9-", "Zh==", "Zm9=", "Zg==Zg=="}) {
    EXPECT_THROW(from_base64(text), std::invalid_argument) << text;
  }
}

TEST(Hmac, KnownAnswers) {
  // RFC 4231, test cases 1 to 4, 6 and 7.
  struct Case {
    std::string key, message, proof;
  };
  const Case cases[] = {
      {std::string(20, '\x0b'), "Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
      {"Jefe", "what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
      {std::string(20, '\xaa'), std::string(50, '\xdd'), "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
      {from_hex("0102030405060708090a0b0c0d0e0f10111213141516171819"), std::string(50, '\xcd'),
       "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"},
      {std::string(131, '\xaa'), "Test Using Larger Than Block-Size Key - Hash Key First", "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
      {std::string(131, '\xaa'),
       "This is a test using a larger than block-size key and a larger than block-size data. The key needs to be hashed before being used by the HMAC "
       "algorithm.",
       "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"},
  };
  for (const auto& [key, message, proof] : cases) EXPECT_EQ(hmac_sha256(key, message), from_hex(proof)) << message;
  EXPECT_EQ(hmac_sha256("", "").size(), 32u);
}

TEST(Sha256, KnownAnswers) {
  EXPECT_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Random, IsFresh) {
  EXPECT_EQ(random_hex(16).size(), 32u);
  EXPECT_NE(random_hex(16), random_hex(16));
  EXPECT_EQ(random_hex(64).find_first_not_of("0123456789abcdef"), std::string::npos);
}

TEST(ConstantTime, ComparesLengthAndBytes) {
  EXPECT_TRUE(equal_in_constant_time("", ""));
  EXPECT_TRUE(equal_in_constant_time("abc", "abc"));
  EXPECT_FALSE(equal_in_constant_time("abc", "abd"));
  EXPECT_FALSE(equal_in_constant_time("abc", "ab"));
}

}  // namespace
}  // namespace ultramarine::net
