// What the command line says, in the reader's language. English sentences are the keys; languages/ko.po has their
// Korean twins (GNU gettext's format and tools; the compiled catalogue travels inside the program, because libc's own
// gettext gives up where the system has no such locale). JSON, exit codes, options and names are never translated.
#pragma once

#include <fmt/core.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace ultramarine::cli {

enum class Language { english, korean };

/// LC_ALL, else LC_MESSAGES, else LANG; if that is no C locale, the first language of LANGUAGE that is known goes
/// before it. A locale whose encoding isn't UTF-8 gets English.
Language language_of(const std::map<std::string, std::string>& environment);
/// Whether a locale's encoding is UTF-8; one that names none is taken for that.
bool is_utf8_locale(std::string_view locale);
/// Of this process, until the next call.
void speak(Language language);
Language language();

/// The last touch to a sentence that was filled in: in Korean, the particles.
std::string finished(std::string sentence);

/// The sentence in the language that is spoken. With arguments, {0} {1} ... stand for them. Every call is found by
/// tests/unit/cli/language_test.py, which demands a twin.
std::string spoken(std::string_view sentence);
template <class First, class... Rest>
std::string spoken(std::string_view sentence, const First& first, const Rest&... rest) {
  return finished(fmt::vformat(spoken(sentence), fmt::make_format_args(first, rest...)));
}

/// `one` or `many` by `count`, which is {0}; the arguments follow from {1}.
std::string spoken_form(std::int64_t count, std::string_view one, std::string_view many);
template <class... Arguments>
std::string spoken_count(std::int64_t count, std::string_view one, std::string_view many,
                         const Arguments&... arguments) {
  return finished(fmt::vformat(spoken_form(count, one, many), fmt::make_format_args(count, arguments...)));
}

/// Line by line: those that begin with two blanks are examples and stay as they are.
std::string spoken_lines(std::string_view text);

/// A finished English sentence of somebody else (the scheduler's reasons and refusals): those of the catalogue's
/// context "heard" are patterns, and what stands in their places is kept. What no pattern knows comes back as it is.
std::string heard(std::string_view sentence);

/// Whether the sentence has a twin in the language (for tests).
bool has_twin(std::string_view sentence, Language language);

}  // namespace ultramarine::cli
