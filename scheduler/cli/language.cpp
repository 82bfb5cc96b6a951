#include "scheduler/cli/language.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <unordered_map>

#include "scheduler/cli/catalogue.h"
#include "scheduler/cli/environment.h"
#include "scheduler/cli/korean_particles.h"

namespace ultramarine::cli {
namespace {

constexpr char context_end = '\004';
constexpr std::string_view heard_context = "heard";

/// An English sentence with places in it: the texts between the places, and which place follows each.
struct Pattern {
  std::string sentence;
  std::vector<std::string> texts;  // one more than places
  std::vector<std::size_t> places;
  std::size_t letters = 0;  // of the texts: the more, the surer
};

Pattern pattern_of(std::string_view sentence) {
  Pattern pattern{std::string(sentence), {""}, {}, 0};
  for (std::size_t i = 0; i < sentence.size(); ++i) {
    if (sentence[i] == '{' && i + 2 < sentence.size() && sentence[i + 2] == '}') {
      pattern.places.push_back(static_cast<std::size_t>(sentence[i + 1] - '0'));
      pattern.texts.emplace_back();
      i += 2;
    } else {
      pattern.texts.back() += sentence[i];
      ++pattern.letters;
    }
  }
  return pattern;
}

/// GNU MO files: a header, a table of (length, offset) of the keys, one of the translations, all little endian on our
/// machines.
class Catalogue {
 public:
  explicit Catalogue(std::string_view file) : file_(file) {
    if (file.size() < 28 || number(0) != 0x950412DEU) return;
    const std::uint32_t count = number(8), keys = number(12), values = number(16);
    for (std::uint32_t i = 0; i < count; ++i) {
      const std::string_view key = text(keys + 8 * i), value = text(values + 8 * i);
      const std::size_t context = key.find(context_end);
      if (context == std::string_view::npos) {
        sentences_.emplace(key.substr(0, key.find('\0')),
                           value.substr(0, value.find('\0')));  // without the plural's key
      } else if (key.substr(0, context) == heard_context) {
        const std::string_view sentence = key.substr(context + 1);
        heard_.emplace(sentence, value);
        if (sentence.find('{') != std::string_view::npos) patterns_.push_back(pattern_of(sentence));
      }
    }
    std::stable_sort(patterns_.begin(), patterns_.end(),
                     [](const Pattern& a, const Pattern& b) { return a.letters > b.letters; });
  }

  std::optional<std::string_view> find(std::string_view sentence) const { return found(sentences_, sentence); }
  std::optional<std::string_view> find_heard(std::string_view sentence) const { return found(heard_, sentence); }
  const std::vector<Pattern>& patterns() const { return patterns_; }

 private:
  using Map = std::unordered_map<std::string_view, std::string_view>;
  static std::optional<std::string_view> found(const Map& map, std::string_view sentence) {
    const auto at = map.find(sentence);
    if (at == map.end() || sentence.empty() || at->second.empty()) return std::nullopt;
    return at->second;
  }
  std::uint32_t number(std::size_t at) const {
    std::uint32_t value = 0;
    std::memcpy(&value, file_.data() + at, sizeof value);
    return value;
  }
  std::string_view text(std::size_t at) const { return file_.substr(number(at + 4), number(at)); }

  std::string_view file_;
  Map sentences_, heard_;
  std::vector<Pattern> patterns_;
};

const Catalogue& korean() {
  static const Catalogue catalogue(korean_catalogue());
  return catalogue;
}

Language spoken_language = Language::english;

/// What stands in the places of `pattern`, or nullopt. Each text is looked for from the left, the last one at the end.
std::optional<std::vector<std::string_view>> match(const Pattern& pattern, std::string_view sentence) {
  std::vector<std::string_view> found(pattern.places.size());
  if (!sentence.starts_with(pattern.texts.front())) return std::nullopt;
  std::size_t at = pattern.texts.front().size();
  for (std::size_t i = 0; i < pattern.places.size(); ++i) {
    const std::string& next = pattern.texts[i + 1];
    const bool last = i + 1 == pattern.places.size();
    std::size_t end = sentence.find(next, at + 1);
    if (last)
      end = next.empty()               ? sentence.size()
            : sentence.ends_with(next) ? sentence.size() - next.size()
                                       : std::string_view::npos;
    if (end == std::string_view::npos || end <= at) return std::nullopt;
    found[i] = sentence.substr(at, end - at);
    at = end + next.size();
  }
  return found;
}

std::string filled(std::string_view translation, const Pattern& pattern, const std::vector<std::string>& pieces) {
  std::string text;
  for (std::size_t i = 0; i < translation.size(); ++i) {
    if (translation[i] == '{' && i + 2 < translation.size() && translation[i + 2] == '}') {
      for (std::size_t place = 0; place < pattern.places.size(); ++place) {
        if (pattern.places[place] == static_cast<std::size_t>(translation[i + 1] - '0')) text += pieces[place];
      }
      i += 2;
    } else {
      text += translation[i];
    }
  }
  return text;
}

/// Sentences one by one: they end with a full stop before a blank and a capital letter.
std::vector<std::string_view> sentences_of(std::string_view text) {
  std::vector<std::string_view> sentences;
  std::size_t from = 0;
  for (std::size_t i = 0; i + 2 < text.size(); ++i) {
    if (text[i] == '.' && text[i + 1] == ' ' && text[i + 2] >= 'A' && text[i + 2] <= 'Z') {
      sentences.push_back(text.substr(from, i + 1 - from));
      from = i + 2;
    }
  }
  sentences.push_back(text.substr(from));
  return sentences;
}

std::string heard_piece(std::string_view sentence, int depth) {
  if (const auto whole = korean().find_heard(sentence)) return std::string(*whole);
  for (const Pattern& pattern : korean().patterns()) {
    const auto found = match(pattern, sentence);
    if (!found) continue;
    std::vector<std::string> pieces;
    for (const std::string_view piece : *found) {
      // A single word is a name; only phrases are looked at again.
      const bool phrase = depth < 4 && piece.find(' ') != std::string_view::npos;
      pieces.push_back(phrase ? heard_piece(piece, depth + 1) : std::string(piece));
    }
    return filled(*korean().find_heard(pattern.sentence), pattern, pieces);
  }
  return std::string(sentence);
}

bool is_language(std::string_view locale, std::string_view language) {
  return locale.starts_with(language) &&
         (locale.size() == language.size() ||
          std::string_view("_.@").find(locale[language.size()]) != std::string_view::npos);
}

}  // namespace

bool is_utf8_locale(std::string_view locale) {
  const std::size_t dot = locale.find('.');
  if (dot == std::string_view::npos) return true;
  std::string encoding;
  for (const char letter : locale.substr(dot + 1, locale.find('@', dot) - dot - 1)) {
    if (letter != '-') encoding += static_cast<char>(letter | 0x20);
  }
  return encoding == "utf8";
}

Language language_of(const std::map<std::string, std::string>& environment) {
  std::string locale;
  for (const char* name : {"LC_ALL", "LC_MESSAGES", "LANG"}) {
    locale = value_of(environment, name);
    if (!locale.empty()) break;
  }
  if (locale.empty() || is_language(locale, "C") || locale == "POSIX" || !is_utf8_locale(locale))
    return Language::english;
  const std::string wishes = value_of(environment, "LANGUAGE");
  for (std::size_t from = 0; from < wishes.size();) {
    const std::size_t colon = std::min(wishes.find(':', from), wishes.size());
    const std::string_view wish = std::string_view(wishes).substr(from, colon - from);
    if (is_language(wish, "ko")) return Language::korean;
    if (is_language(wish, "en")) return Language::english;
    from = colon + 1;
  }
  return is_language(locale, "ko") ? Language::korean : Language::english;
}

void speak(Language chosen) { spoken_language = chosen; }
Language language() { return spoken_language; }

std::string finished(std::string sentence) {
  return spoken_language == Language::korean ? with_particles(sentence) : sentence;
}

std::string spoken(std::string_view sentence) {
  if (spoken_language == Language::korean) {
    if (const auto twin = korean().find(sentence)) return std::string(*twin);
  }
  return std::string(sentence);
}

std::string spoken_form(std::int64_t count, std::string_view one, std::string_view many) {
  if (spoken_language == Language::korean) {
    if (const auto twin = korean().find(one)) return std::string(*twin);
  }
  return std::string(count == 1 ? one : many);
}

std::string spoken_lines(std::string_view text) {
  std::string all;
  for (std::size_t from = 0; from < text.size();) {
    const std::size_t end = std::min(text.find('\n', from), text.size());
    const std::string_view line = text.substr(from, end - from);
    all += line.starts_with("  ") ? std::string(line) : spoken(line);
    if (end < text.size()) all += '\n';
    from = end + 1;
  }
  return all;
}

std::string heard(std::string_view sentence) {
  if (spoken_language == Language::english) return std::string(sentence);
  std::string text;
  for (const std::string_view one : sentences_of(sentence)) text += (text.empty() ? "" : " ") + heard_piece(one, 0);
  return with_particles(text);
}

bool has_twin(std::string_view sentence, Language in) {
  return in == Language::english || korean().find(sentence) || korean().find_heard(sentence);
}

}  // namespace ultramarine::cli
