#include "scheduler/server/page_files.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <iterator>
#include <string_view>
#include <utility>

#include "scheduler/net/proof.h"

namespace ultramarine::server {

namespace {

constexpr std::array<std::pair<std::string_view, const char*>, 5> page_types{{{".html", "text/html; charset=utf-8"},
                                                                             {".js", "text/javascript; charset=utf-8"},
                                                                             {".css", "text/css; charset=utf-8"},
                                                                             {".svg", "image/svg+xml"},
                                                                             {".json", "application/json"}}};

constexpr const char* page_that_is_missing = R"(<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>Ultramarine</title></head>
<body><h1>Ultramarine</h1>
<p>This scheduler was built without its web page, because there was no Node.js (18 or later, with npm) where it was built, or no network for the
packages that the page is made of. To get the page:</p>
<pre>sudo apt-get install --no-install-recommends nodejs npm
cmake --build build/release --target dashboard</pre>
<p>and restart the scheduler; one that was installed needs <code>cmake --install build/release</code>, too. On the command line,
<code>ultra top</code> shows the same.</p>
<p lang="ko">이 스케줄러가 빌드된 곳에 Node.js(18 이상, npm 포함)나 웹 페이지의 패키지를 받을 네트워크가 없어 웹 페이지가 없습니다. 위의 두 명령을 실행한 뒤 스케줄러를
다시 시작하십시오. 명령줄에서는
<code>ultra top</code>이 같은 것을 보여 줍니다.</p>
</body></html>
)";

// Nothing but what this address itself serves is ever loaded, and nobody may put the page into a frame.
constexpr const char* page_policy = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'";

/// Tells two versions of a file apart.
std::string tag_of(std::string_view text) { return '"' + net::sha256_hex(text) + '"'; }

std::string text_of_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

/// Whether the words of an Accept or Accept-Encoding header have this one, and not with q=0.
bool accepts(const std::string& header, std::string_view word) {
  for (std::size_t from = 0; from < header.size();) {
    const std::size_t comma = std::min(header.find(',', from), header.size());
    const std::string_view part = std::string_view(header).substr(from, comma - from);
    from = comma + 1;
    const std::size_t first = part.find_first_not_of(' ');
    if (first == std::string_view::npos) continue;
    const std::string_view name = part.substr(first, part.find_first_of(" ;", first) - first);
    if (name == word) return part.find("q=0") == std::string_view::npos || part.find("q=0.") != std::string_view::npos;
  }
  return false;
}

}  // namespace

PageFiles::PageFiles(const std::filesystem::path& folder) {
  std::error_code missing;
  for (std::filesystem::recursive_directory_iterator entry(folder, missing), end; !missing && entry != end; entry.increment(missing)) {
    if (!entry->is_regular_file() || entry->is_symlink()) continue;
    const std::string extension = entry->path().extension().string();
    const auto* type = std::find_if(page_types.begin(), page_types.end(), [&](const auto& one) { return one.first == extension; });
    if (type == page_types.end()) continue;  // its .gz is read with it; all else is no part of the page
    const std::string path = "/" + entry->path().lexically_relative(folder).generic_string();
    File file{type->second, text_of_file(entry->path()), text_of_file(entry->path().string() + ".gz"), "", path.starts_with("/assets/")};
    file.tag = tag_of(file.text);
    files_.emplace(path, std::move(file));
  }
  if (!files_.contains("/index.html")) files_ = {{"/index.html", {page_types[0].second, page_that_is_missing, "", tag_of(page_that_is_missing), false}}};
}

std::optional<net::Response> PageFiles::answer(const net::Request& request) const {
  if (request.method != "GET" && request.method != "HEAD") return std::nullopt;
  const bool is_front = request.path == "/";
  if (is_front && !accepts(request.header("accept"), "text/html")) return std::nullopt;
  const auto found = files_.find(is_front ? "/index.html" : request.path);
  if (found == files_.end()) return std::nullopt;
  const File& file = found->second;
  net::Response response;
  response.content_type = file.type;
  response.headers = {{"ETag", file.tag},
                      {"Cache-Control", file.never_changes ? "public, max-age=31536000, immutable" : "no-cache"},
                      {"Content-Security-Policy", page_policy},
                      {"Referrer-Policy", "no-referrer"},
                      {"Vary", "Accept, Accept-Encoding"},
                      {"X-Content-Type-Options", "nosniff"}};
  if (request.header("if-none-match") == file.tag) {
    response.status = 304;
    return response;
  }
  const bool is_compressed = !file.compressed.empty() && accepts(request.header("accept-encoding"), "gzip");
  if (is_compressed) response.headers["Content-Encoding"] = "gzip";
  response.body = is_compressed ? file.compressed : file.text;
  return response;
}

}  // namespace ultramarine::server
