// The files of the web page (scheduler/dashboard) as they were built. All are read once, at the start, and found by their whole path: no request
// can name a file that isn't of the page. Where there are none, the page is one that says how to get it.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "scheduler/net/http.h"

namespace ultramarine::server {

class PageFiles {
 public:
  /// `folder` holds index.html and what it names, each with its .gz beside it where that is worth it. It may be missing.
  explicit PageFiles(const std::filesystem::path& folder);

  /// nullopt: no file of the page is asked for. "/" is the page for browsers alone: others get what the API has there.
  std::optional<net::Response> answer(const net::Request& request) const;

 private:
  struct File {
    std::string type, text, compressed, tag;  // tag: of this content (ETag); compressed: "" = it isn't
    bool never_changes = false;               // its name changes with its content
  };
  std::map<std::string, File> files_;  // by path: /index.html, /assets/...
};

}  // namespace ultramarine::server
