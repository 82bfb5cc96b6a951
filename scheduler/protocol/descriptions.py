#!/usr/bin/env python3
"""Turns the comments of described types into a table: `descriptions.py OUT.cpp HEADER...` (run by the build, standard library only).

A type's description is the `///` lines above its struct or enum; a member's is the `//` comment behind it, with the lines of comment
that follow, or the `///` lines above it. Members that share a declaration share its comment. Section marks and code are not read.
"""
import json
import re
import sys

TYPE = re.compile(r"(?:struct\s+(\w+)\s*(?::[^{]*)?\{|BOOST_DEFINE_(?:FIXED_)?ENUM_CLASS\((\w+),)")


def members_of(declaration):
    """The names that a member declaration introduces: `std::map<K, V> a, b{3};` gives a and b."""
    text = declaration
    while True:  # template arguments and initializers hold commas of their own
        shorter = re.sub(r"<[^<>]*>|\{[^{}]*\}|\([^()]*\)", " ", text)
        if shorter == text:
            break
        text = shorter
    names = []
    for piece in text.rstrip("; ").split(","):
        words = re.findall(r"\w+", piece.split("=")[0])
        if words:
            names.append(words[-1])
    return names


def read(path, found):
    pending, current, members = [], None, []
    for line in open(path, encoding="utf-8"):
        line = line.strip()
        if line.startswith("///"):
            pending.append(line[3:].strip())
            members = []
            continue
        if line.startswith("//"):
            # The rest of the comment of the members above.
            for name in members:
                found[current, name] = (found.get((current, name), "") + " " + line[2:].strip()).strip()
            continue
        head = TYPE.match(line)
        if head:
            current, members = head.group(1) or None, []
            if pending:
                found[head.group(1) or head.group(2), ""] = " ".join(pending)
            if line.endswith("};"):
                current = None
            pending = []
            continue
        code, _, comment = line.partition("//")
        code, comment = code.strip(), comment.strip(" /<")
        if code.startswith("};"):
            current, members = None, []
        elif current and code.endswith(";") and "operator" not in code and "static" not in code and not code.startswith("using"):
            members = members_of(code)
            text = " ".join(pending + [comment]).strip()
            for name in members:
                if text:
                    found[current, name] = text
        else:
            members = []
        pending = []


def main():
    out, headers = sys.argv[1], sys.argv[2:]
    found = {}
    for header in headers:
        read(header, found)
    lines = [f"      {{{json.dumps(t)}, {json.dumps(m)}, {json.dumps(text)}}}," for (t, m), text in sorted(found.items())]
    with open(out, "w", encoding="ascii") as file:
        file.write("""// Made by descriptions.py from the comments of the headers. Change those.
#include <algorithm>
#include <array>
#include <tuple>

#include "scheduler/protocol/schema.h"

namespace ultramarine::protocol::detail {

std::string_view description(std::string_view type, std::string_view member) {
  struct Entry {
    std::string_view type, member, text;
  };
  static constexpr std::array<Entry, %d> all{{
%s
  }};
  const auto found = std::lower_bound(all.begin(), all.end(), std::tie(type, member), [](const Entry& entry, const auto& key) {
    return std::tie(entry.type, entry.member) < key;
  });
  return found != all.end() && found->type == type && found->member == member ? found->text : std::string_view();
}

}  // namespace ultramarine::protocol::detail
""" % (len(lines), "\n".join(lines)))


if __name__ == "__main__":
    main()
